"""Read images out of archived manifests (`manifests-config-layers.json`).

The folder's path after `containers/` is the repository: `containers/ghcr.io/a/b` holds ghcr.io/a/b.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from pullstudy.pulls.record import PullImage, read_crafted_tag

_CONTAINERS = "containers"


class _Blob(msgspec.Struct, gc=False):
    size: int = 0
    digest: str = ""


class _Manifest(msgspec.Struct, gc=False):
    layers: list[_Blob] = msgspec.field(default_factory=list)
    config: _Blob = msgspec.field(default_factory=_Blob)


class _Manifests(msgspec.Struct, gc=False):
    manifests: dict[str, msgspec.Raw]


_decode = msgspec.json.Decoder(_Manifests).decode
_decode_manifest = msgspec.json.Decoder(_Manifest).decode


def find_repository(folder: str) -> str | None:
    """Name the repository whose manifests lie in a folder; None: it is none of the pull runs."""
    _, mark, repository = f"/{folder}".rpartition(f"/{_CONTAINERS}/")
    return repository if mark else None


def read_images(content: bytes, repository: str, study: str) -> list[PullImage]:
    """Return a row for each tag with an image manifest, in the order of tags.

    Entries without layers (errors, indexes, schema 1) are left out. The manifest's own bytes, a
    few thousand, are not known. Raises msgspec.DecodeError when the content is something else.
    """
    manifests = {
        tag: manifest
        for tag, raw in sorted(_decode(content).manifests.items())
        if (manifest := _manifest_of(raw)) is not None
    }
    holders = Counter(
        digest
        for manifest in manifests.values()
        for digest in {layer.digest for layer in manifest.layers}
    )
    return [
        _row(study, f"{repository}:{tag}", manifest, holders) for tag, manifest in manifests.items()
    ]


def _manifest_of(raw: msgspec.Raw) -> _Manifest | None:
    try:
        manifest = _decode_manifest(raw)
    except msgspec.DecodeError:
        return None
    return manifest if manifest.layers else None


def _row(study: str, image: str, manifest: _Manifest, holders: Counter[str]) -> PullImage:
    layers, nominal_bytes = read_crafted_tag(image)
    sizes = [layer.size for layer in manifest.layers]
    return PullImage(
        study=study,
        image=image,
        layers=layers,
        manifest_layers=len(sizes),
        nominal_bytes=nominal_bytes,
        compressed_bytes=sum(sizes) + manifest.config.size,
        largest_layer_bytes=max(sizes),
        shared_layers=sum(holders[layer.digest] > 1 for layer in manifest.layers),
    )
