"""The layers of an image, each with the command that made it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from pullstudy.inspection.documents import ImageConfig, ImageManifest

# Digest of the empty tar file, two blocks of zeros (`head -c 1024 /dev/zero | sha256sum`).
_EMPTY_TAR = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
# The same after gzip, as Docker and BuildKit write it.
_EMPTY_LAYER_BYTES = 32

_strip_shell = re.compile(r"^(?:RUN )?(?:\|\d+ .*? )?/bin/(?:ba)?sh -c (?:#\(nop\)\s*)?", re.DOTALL)


@dataclass(frozen=True)
class InspectedLayer:
    """One layer; number counts from 1 at the base. command: None where the history has none.

    size_bytes: compressed. diff_id: digest of the unpacked tar file, None when not recorded.
    """

    number: int
    digest: str
    size_bytes: int
    media_type: str
    diff_id: str | None
    command: str | None
    is_foreign: bool
    is_empty: bool
    is_repeated: bool


def list_layers(manifest: ImageManifest, config: ImageConfig) -> tuple[InspectedLayer, ...]:
    """Join the layers of a manifest with the digests and commands of its config.

    Commands are known only where the history has as many steps with layers as the manifest.
    """
    diff_ids: list[str | None] = [*(config.rootfs.diff_ids or [])]
    steps = [entry for entry in config.history or [] if not entry.empty_layer]
    commands = [clean_command(step.created_by or "") or None for step in steps]
    count = len(manifest.layers)
    if len(commands) != count:
        commands = [None] * count
    if len(diff_ids) != count:
        diff_ids = [None] * count
    times = Counter(layer.digest for layer in manifest.layers)
    return tuple(
        InspectedLayer(
            number,
            layer.digest,
            layer.size,
            layer.media_type,
            diff_id,
            command,
            is_foreign=bool(layer.urls) or ".foreign." in layer.media_type,
            is_empty=diff_id == _EMPTY_TAR or layer.size <= _EMPTY_LAYER_BYTES,
            is_repeated=times[layer.digest] > 1,
        )
        for number, (layer, diff_id, command) in enumerate(
            zip(manifest.layers, diff_ids, commands, strict=True), start=1
        )
    )


def clean_command(created_by: str) -> str:
    """Give the instruction as its author wrote it, on one line: `RUN apt-get update`."""
    text = " ".join(created_by.removesuffix("# buildkit").split())
    match = _strip_shell.match(text)
    if match is None:
        return text
    rest = text[match.end() :]
    return rest if "#(nop)" in match[0] else f"RUN {rest}"
