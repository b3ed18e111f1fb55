"""The fields of manifests and configs that say something of an image before it is pulled.

Specifications: Docker Image Manifest V2 Schema 2, OCI Image Format 1.1 (manifest.md, config.md,
annotations.md).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

_Size = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class LayerDescriptor(msgspec.Struct, gc=False, rename="camel"):
    """One layer of a manifest; size in compressed bytes."""

    digest: str
    size: _Size
    media_type: str = ""
    urls: list[str] | None = None


class ConfigDescriptor(msgspec.Struct, gc=False):
    """Where the config is."""

    digest: str
    size: _Size = 0


class ImageManifest(msgspec.Struct, gc=False):
    """The manifest of one image."""

    config: ConfigDescriptor
    layers: list[LayerDescriptor]
    annotations: dict[str, str] | None = None


class HistoryEntry(msgspec.Struct, gc=False):
    """One step of an image's build."""

    created_by: str | None = None
    author: str | None = None
    empty_layer: bool | None = None


class RootFs(msgspec.Struct, gc=False):
    """The unpacked layers: digests of the tar files."""

    diff_ids: list[str] | None = None


class Healthcheck(msgspec.Struct, gc=False):
    """What Docker asks a container."""

    test: list[str] | None = msgspec.field(name="Test", default=None)


class RunSettings(msgspec.Struct, gc=False, rename="pascal"):
    """How a container of the image starts."""

    user: str | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    labels: dict[str, str] | None = None
    healthcheck: Healthcheck | None = None


class ImageConfig(msgspec.Struct, gc=False):
    """An image config."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    created: str | None = None
    author: str | None = None
    config: RunSettings | None = None
    history: list[HistoryEntry] | None = None
    rootfs: RootFs = msgspec.field(default_factory=RootFs)


decode_image_manifest = msgspec.json.Decoder(ImageManifest).decode
decode_image_config = msgspec.json.Decoder(ImageConfig).decode
