"""Manifests and configs, decoded to the fields that the tables need.

Specifications: Docker Image Manifest V2 Schema 1 and Schema 2, OCI Image Format 1.1 (manifest.md,
image-index.md, config.md). Fields that are not named here are skipped, never built.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from pullstudy.errors import RegistryError

IMAGE = "image"
INDEX = "index"
SCHEMA1 = "schema1"
ARTIFACT = "artifact"
UNKNOWN = "unknown"

# The first registries' clients pushed configs as plain bytes (Docker 1.10), some still do.
_IMAGE_CONFIGS = frozenset(
    (
        "",
        "application/octet-stream",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.config.v1+json",
    )
)
_IMAGE_LAYERS = (
    "application/octet-stream",
    "application/vnd.docker.container.image.rootfs.",
    "application/vnd.docker.image.rootfs.",
    "application/vnd.oci.image.layer.",
)

# 256 TiB: no layer is larger, and the sum over an image's layers fits in the tables' 64 bits.
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
_Document = TypeVar("_Document")


class UnreadableDocument(RegistryError):
    """A document is no JSON, or not of the form that its specification gives.

    reason: short name of the cause, as in the table `failures`; detail: the decoder's message.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Descriptor(msgspec.Struct, gc=False, rename="camel"):
    """What a manifest says of its config."""

    media_type: str | None = None
    digest: str | None = None


class Layer(msgspec.Struct, gc=False, rename="camel"):
    """One layer of a manifest; size in compressed bytes."""

    digest: str
    size: _Size
    media_type: str | None = None


class Manifest(msgspec.Struct, gc=False, rename="camel"):
    """Any manifest: of an image, an index or list, or of schema 1.

    `manifests`, `fs_layers` and `errors` stay undecoded: that they are there says what it is.
    """

    media_type: str | None = None
    artifact_type: str | None = None
    config: Descriptor | None = None
    layers: list[Layer] | None = None
    manifests: msgspec.Raw = msgspec.Raw()
    fs_layers: msgspec.Raw = msgspec.Raw()
    errors: msgspec.Raw = msgspec.Raw()


class HistoryEntry(msgspec.Struct, gc=False):
    """One step of an image's build."""

    created_by: str | None = None
    empty_layer: bool | None = None


class Config(msgspec.Struct, gc=False):
    """An image config."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    created: str | None = None
    history: list[HistoryEntry] | None = None


class RepositoryDocument(msgspec.Struct, gc=False):
    """All that was collected of one repository: its tags, and by tag a manifest and a config."""

    tags: list[str] | None = None
    manifests: dict[str, Manifest | None] | None = None
    configs: dict[str, Config | None] | None = None


class Rejection(NamedTuple):
    """A part of a document that could not be used: a row of `failures`."""

    reference: str | None
    reason: str
    detail: str


_decode_document = msgspec.json.Decoder(RepositoryDocument).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode
_decode_config = msgspec.json.Decoder(Config).decode
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_manifest(data: bytes) -> Manifest:
    """Decode one manifest. Raises UnreadableDocument (invalid_manifest)."""
    try:
        return _decode_manifest(data)
    except _DECODE_ERRORS as exc:
        return _decode_leniently(data, Manifest, UnreadableDocument("invalid_manifest", str(exc)))


def decode_config(data: bytes) -> Config:
    """Decode one image config. Raises UnreadableDocument (invalid_config)."""
    try:
        return _decode_config(data)
    except _DECODE_ERRORS as exc:
        return _decode_leniently(data, Config, UnreadableDocument("invalid_config", str(exc)))


def decode_repository(data: bytes) -> tuple[RepositoryDocument, list[Rejection]]:
    """Decode a `manifests-config-layers.json`; parts that do not fit are rejected one by one.

    Raises UnreadableDocument (broken_json, invalid_document) when nothing of it can be used.
    """
    try:
        return _decode_document(data), []
    except _DECODE_ERRORS:
        return _decode_piecewise(data)


def classify_manifest(manifest: Manifest) -> str:
    """Say what a manifest describes: image, index, schema1, artifact or unknown.

    The form decides, since old registries and tools left the media type out. An artifact is what
    has an image's form but a config or layers that no container runtime unpacks (signatures,
    attestations, charts), and what names the type of artifact that it is.
    """
    if manifest.layers is not None or manifest.config is not None:
        return ARTIFACT if _is_artifact(manifest) else IMAGE
    if manifest.artifact_type:
        return ARTIFACT
    if bytes(manifest.manifests).startswith(b"["):
        return INDEX
    if bytes(manifest.fs_layers).startswith(b"["):
        return SCHEMA1
    return UNKNOWN


def _is_artifact(manifest: Manifest) -> bool:
    config_type = (manifest.config and manifest.config.media_type) or ""
    if config_type not in _IMAGE_CONFIGS:
        return True
    layers = manifest.layers or []
    for layer in layers:
        if not layer.media_type or layer.media_type.startswith(_IMAGE_LAYERS):
            return False
    return bool(layers)


def _decode_leniently(data: bytes, kind: type[_Document], failure: UnreadableDocument) -> _Document:
    """Replace bad UTF-8 and lone surrogates, as Go's decoder does; raise the failure otherwise."""
    try:
        return _refit(json.loads(data.decode("utf-8-sig", "replace")), kind)
    except (ValueError, *_DECODE_ERRORS):
        raise failure from None


def _decode_piecewise(data: bytes) -> tuple[RepositoryDocument, list[Rejection]]:
    """Decode what can be decoded: bad UTF-8 and lone surrogates are replaced, misfits rejected."""
    try:
        document = json.loads(data.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as exc:
        raise UnreadableDocument("broken_json", str(exc)) from exc
    if not isinstance(document, dict):
        raise UnreadableDocument(
            "invalid_document", f"an object was expected, it is of type {type(document).__name__}"
        )
    rejections: list[Rejection] = []
    return (
        RepositoryDocument(
            _convert_tags(document.get("tags"), rejections),
            _convert_entries(document.get("manifests"), "manifest", Manifest, rejections),
            _convert_entries(document.get("configs"), "config", Config, rejections),
        ),
        rejections,
    )


def _convert_tags(tags: Any, rejections: list[Rejection]) -> list[str]:
    if not isinstance(tags, list):
        if tags is not None:
            rejections.append(Rejection(None, "invalid_document", "tags is not an array"))
        return []
    converted = []
    for tag in tags:
        if isinstance(tag, str):
            converted.append(_clean(tag))
        else:
            rejections.append(Rejection(_clean(json.dumps(tag)), "invalid_tag", "not a string"))
    return converted


def _convert_entries(
    entries: Any, part: str, kind: type[_Document], rejections: list[Rejection]
) -> dict[str, _Document | None]:
    if not isinstance(entries, dict):
        if entries is not None:
            rejections.append(Rejection(None, "invalid_document", f"{part}s is not an object"))
        return {}
    converted: dict[str, _Document | None] = {}
    for tag, entry in entries.items():
        try:
            converted[_clean(tag)] = None if entry is None else _refit(entry, kind)
        except _DECODE_ERRORS as exc:
            rejections.append(Rejection(_clean(tag), f"invalid_{part}", str(exc)))
    return converted


def _refit(value: Any, kind: type[_Document]) -> _Document:
    """Bring a value of the lenient decoder into a document's form; lone surrogates become `?`."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return msgspec.json.decode(text, type=kind)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
