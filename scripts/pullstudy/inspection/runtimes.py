"""Which runtimes will refuse an image, and why: told by its manifest alone.

Measured with the runtimes themselves or read in their source: Docker Engine's layer store
(`maxLayerDepth`), containerd's media types (`images.IsLayerType`, `DiffCompression`), the
deprecation notes on schema 1 of containerd 2.0 and Docker Engine 26.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pullstudy.craft.limits import DOCKER_LAYER_LIMIT
from pullstudy.inspection.layers import InspectedLayer
from pullstudy.inspection.reading import ReadImage

_OCI_LAYER = "application/vnd.oci.image.layer."
_PREFIXES = (
    f"{_OCI_LAYER}v1.",
    f"{_OCI_LAYER}nondistributable.v1.",
    "application/vnd.docker.image.rootfs.diff.",
    "application/vnd.docker.image.rootfs.foreign.diff.",
)
_COMPRESSIONS = {
    "tar": "none", "tar+gzip": "gzip", "tar.gzip": "gzip", "tar+zstd": "zstd", "tar.zstd": "zstd",
}  # fmt: skip
_ENCRYPTED = "+encrypted"


@dataclass(frozen=True)
class Refusal:
    """One reason why some runtime will not run the image; who: which ones."""

    who: str
    reason: str
    advice: str


def find_refusals(image: ReadImage, layers: Sequence[InspectedLayer]) -> list[Refusal]:
    """List the reasons of all runtimes, the most general first."""
    if image.kind != "image":
        return [_refuse_kind(image)]
    return [*_refuse_platform(image), *_refuse_layers(layers), *_refuse_count(image, layers)]


def _refuse_kind(image: ReadImage) -> Refusal:
    if image.kind == "absent":
        return Refusal(
            "all runtimes",
            f"there is no image for {image.platform}; there is for {image.offered}",
            f"build it for {image.platform} too, or choose another with --platform",
        )
    if image.kind == "schema1":
        return Refusal(
            "containerd 2 and Docker Engine 26 or newer",
            "it is of manifest schema 1, which they do not take any more",
            "pull it with an older engine and push it again",
        )
    return Refusal(
        "all runtimes",
        f"it is no image of files but of the kind {image.kind!r}",
        "choose another tag",
    )


def _refuse_platform(image: ReadImage) -> Iterator[Refusal]:
    config, wanted = image.config, image.platform
    if config is None or not config.os or not config.architecture:
        return
    if (config.os, config.architecture) != (wanted.os, wanted.architecture):
        yield Refusal(
            f"runtimes on {wanted}",
            f"it is for {config.os}/{config.architecture}",
            f"build it for {wanted} too, or choose another with --platform",
        )


def _refuse_layers(layers: Sequence[InspectedLayer]) -> Iterator[Refusal]:
    foreign = [layer for layer in layers if layer.is_foreign]
    if foreign:
        yield Refusal(
            "runtimes that do not reach their addresses",
            f"{_name_layers(foreign)} foreign: the registry does not hold it",
            "copy the layers into the registry (docker push with allow-nondistributable-artifacts)",
        )
    encrypted = [layer for layer in layers if layer.media_type.endswith(_ENCRYPTED)]
    if encrypted:
        yield Refusal(
            "runtimes without the key", f"{_name_layers(encrypted)} encrypted", "provide the key"
        )
    zstd = [layer for layer in layers if compression_of(layer.media_type) == "zstd"]
    if any(layer.media_type.startswith(_OCI_LAYER) for layer in zstd):
        yield Refusal(
            "Docker Engine before 23",
            f"{_name_layers(zstd)} compressed with zstd",
            "compress with gzip where such engines pull it",
        )
    unknown = [layer for layer in layers if compression_of(layer.media_type) is None]
    docker_zstd = [layer for layer in zstd if not layer.media_type.startswith(_OCI_LAYER)]
    if unknown or docker_zstd:
        odd = [*unknown, *docker_zstd]
        yield Refusal(
            "containerd and Docker Engine",
            f"{_name_layers(odd)} of the unknown type {odd[0].media_type!r}",
            "push the image again with a current builder",
        )


def _refuse_count(image: ReadImage, layers: Sequence[InspectedLayer]) -> Iterator[Refusal]:
    if len(layers) > DOCKER_LAYER_LIMIT:
        yield Refusal(
            "Docker Engine with overlay2",
            f"it has {len(layers)} layers, more than {DOCKER_LAYER_LIMIT}; the engine says so only "
            "after it has pulled all of them",
            "join RUN instructions, or build in stages and COPY the result",
        )
    recorded = len(image.config.rootfs.diff_ids or []) if image.config else 0
    if recorded != len(layers):
        yield Refusal(
            "all runtimes",
            f"its manifest has {len(layers)} layers, its config {recorded}",
            "push the image again",
        )


def compression_of(media_type: str) -> str | None:
    """The compression that a layer's media type stands for; None when runtimes know no such."""
    plain = media_type.removesuffix(_ENCRYPTED)
    for prefix in _PREFIXES:
        if plain.startswith(prefix):
            return _COMPRESSIONS.get(plain.removeprefix(prefix))
    return None


def _name_layers(layers: Iterable[InspectedLayer]) -> str:
    numbers = [layer.number for layer in layers]
    if len(numbers) == 1:
        return f"layer {numbers[0]} is"
    shown = ", ".join(map(str, numbers[:5]))
    return f"layers {shown}{', …' if len(numbers) > 5 else ''} ({len(numbers)}) are"
