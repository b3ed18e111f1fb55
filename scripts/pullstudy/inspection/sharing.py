"""What an image shares with others, and with what Docker Engine has on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pullstudy.inspection.layers import InspectedLayer

_SOCKET = Path("/var/run/docker.sock")
_TIMEOUT_SECONDS = 2


@dataclass(frozen=True)
class Share:
    """What a pull of an image need not fetch where another one is.

    with_name: the other image. layers: of the inspected image, without empty ones. is_base: the
    other's layers are all there, in the same order, at the bottom.
    """

    with_name: str
    layers: int
    size_bytes: int
    is_base: bool


@dataclass(frozen=True)
class LocalImage:
    """An image on this machine: its name and the digests of its unpacked layers."""

    name: str
    diff_ids: tuple[str, ...]


def share_digests(
    layers: Sequence[InspectedLayer], other_name: str, other: Sequence[InspectedLayer]
) -> Share:
    """Compare two images of registries by the digests of their layers."""
    theirs = {layer.digest for layer in other}
    shared = [layer for layer in layers if layer.digest in theirs and not layer.is_empty]
    bottom = [layer.digest for layer in layers[: len(other)]]
    is_base = 0 < len(other) < len(layers) and bottom == [layer.digest for layer in other]
    return Share(other_name, len(shared), distinct_bytes(shared), is_base)


def share_local(layers: Sequence[InspectedLayer], local: LocalImage) -> Share:
    """Compare with an image of Docker Engine.

    It keeps unpacked layers in a chain: a layer is there only when all below it are the same.
    """
    count = 0
    for layer, diff_id in zip(layers, local.diff_ids, strict=False):
        if layer.diff_id != diff_id:
            break
        count += 1
    size = sum({layer.digest: layer.size_bytes for layer in layers[:count]}.values())
    return Share(local.name, count, size, 0 < count == len(local.diff_ids) < len(layers))


def missing_bytes(
    layers: Sequence[InspectedLayer],
    others: Mapping[str, Sequence[InspectedLayer]],
    local: Iterable[LocalImage],
) -> int:
    """Bytes that a pull fetches where all those other images are already."""
    present = {layer.digest for other in others.values() for layer in other}
    longest = max((share_local(layers, image).layers for image in local), default=0)
    present |= {layer.digest for layer in layers[:longest]}
    return distinct_bytes(layer for layer in layers if layer.digest not in present)


def distinct_bytes(layers: Iterable[InspectedLayer]) -> int:
    """Compressed bytes of layers, a digest counted once."""
    return sum({layer.digest: layer.size_bytes for layer in layers}.values())


def list_local_images() -> list[LocalImage]:
    """List the images of Docker Engine on this machine; none where there is no engine."""
    if not os.environ.get("DOCKER_HOST") and not _SOCKET.exists():
        return []
    # Loaded where there is an engine only.
    import docker
    import requests

    try:
        client = docker.from_env(timeout=_TIMEOUT_SECONDS)
        with_layers = [client.api.inspect_image(entry["Id"]) for entry in client.api.images()]
    except (docker.errors.DockerException, requests.RequestException):
        return []
    return [
        LocalImage(
            (image.get("RepoTags") or [image["Id"][:19]])[0],
            tuple(image.get("RootFS", {}).get("Layers") or ()),
        )
        for image in with_layers
    ]
