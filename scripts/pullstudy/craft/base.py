"""The image that others start from: read from an OCI layout or from a registry.

Formats: OCI image specification 1.1; Docker image manifest version 2, schema 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from pullstudy.craft.stream import Blob
from pullstudy.errors import CraftError
from pullstudy.naming import parse_reference
from pullstudy.registry.auth import PULL
from pullstudy.registry.cache import digest_of
from pullstudy.registry.credentials import read_docker_config
from pullstudy.registry.layout import REF_NAME
from pullstudy.registry.push import RepositoryPusher

_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LAYER_TYPES = {
    _OCI_LAYER: _OCI_LAYER,
    f"{_OCI_LAYER}+gzip": f"{_OCI_LAYER}+gzip",
    f"{_OCI_LAYER}+zstd": f"{_OCI_LAYER}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": _OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{_OCI_LAYER}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{_OCI_LAYER}+zstd",
}
_MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_READ_BYTES = 1 << 20


class _Store(Protocol):
    """Where a base image is kept."""

    def find_manifest(self, reference: str) -> bytes | None:
        """Return the manifest or index of a digest, a tag, or the only image (empty text)."""

    def read_blob(self, digest: str) -> Iterator[bytes]:
        """Read a blob piece by piece."""


@dataclass(frozen=True)
class BaseImage:
    """An image to start from, or nothing: its layers, lowest first, and its config.

    source: `registry/repository` that holds it; empty for a layout.
    """

    blobs: tuple[Blob, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    store: _Store | None = None

    def open_blob(self, blob: Blob) -> BaseBlob:
        """Open one of its layers."""
        if self.store is None:
            raise ValueError("there is no base image")
        return BaseBlob(self.store, blob.digest)


class BaseBlob:
    """A layer of the base, read anew by each iteration and checked against its digest."""

    def __init__(self, store: _Store, digest: str) -> None:
        self._store = store
        self.digest = digest

    def __iter__(self) -> Iterator[memoryview]:
        found = hashlib.sha256()
        for block in self._store.read_blob(self.digest):
            found.update(block)
            yield memoryview(block)
        if f"sha256:{found.hexdigest()}" != self.digest:
            raise CraftError(f"base: {self.digest}: its bytes have another digest; fetch it anew")


def find_base(name: str, architecture: str, *, plain_http: bool = False) -> BaseImage:
    """Find an image: `oci:DIR[:TAG]`, or a reference into a registry.

    Raises CraftError when there is no such image for linux on this architecture.
    """
    if name.startswith("oci:"):
        store, tag = _open_layout(name.removeprefix("oci:"))
        return _read_image(store, tag, name, architecture, "")
    reference = parse_reference(name)
    credentials = read_docker_config().find(reference.registry)
    puller = RepositoryPusher(
        reference.registry,
        reference.repository,
        credentials,
        plain_http=plain_http,
        actions=PULL,
    )
    wanted = reference.digest or reference.tag or "latest"
    source = f"{reference.registry}/{reference.repository}"
    return _read_image(_RegistryStore(puller), wanted, name, architecture, source)


def _read_image(store: _Store, wanted: str, name: str, architecture: str, source: str) -> BaseImage:
    try:
        manifest = _read_manifest(store, wanted, name)
        if "manifests" in manifest:
            digest = _choose_platform(manifest, name, architecture)
            manifest = _read_manifest(store, digest, name)
        config = orjson.loads(_read_whole(store, manifest["config"]["digest"], name))
        if config.get("architecture") != architecture:
            raise CraftError(
                f"base {name}: is for {config.get('architecture')}, the study for {architecture}"
            )
        diff_ids = config["rootfs"]["diff_ids"]
        pairs = zip(manifest["layers"], diff_ids, strict=True)
        blobs = tuple(_read_layer(layer, diff_id) for layer, diff_id in pairs)
    except (KeyError, TypeError, ValueError) as exc:
        raise CraftError(f"base {name}: no image of schema 2 or OCI: {exc}") from exc
    return BaseImage(blobs, config, source, store)


def _read_layer(layer: Mapping[str, Any], diff_id: str) -> Blob:
    media_type = _LAYER_TYPES[layer["mediaType"]]
    annotations = dict(layer.get("annotations") or {})
    return Blob(media_type, layer["digest"], layer["size"], diff_id, 0, annotations)


def _read_manifest(store: _Store, wanted: str, name: str) -> dict[str, Any]:
    content = store.find_manifest(wanted)
    if content is None:
        raise CraftError(f"base {name}: there is no such image")
    if wanted.startswith("sha256:") and digest_of(content) != wanted:
        raise CraftError(f"base {name}: the manifest has another digest than {wanted}")
    manifest: dict[str, Any] = orjson.loads(content)
    return manifest


def _read_whole(store: _Store, digest: str, name: str) -> bytes:
    content = b"".join(store.read_blob(digest))
    if digest_of(content) != digest:
        raise CraftError(f"base {name}: the config has another digest than {digest}")
    return content


def _choose_platform(index: Mapping[str, Any], name: str, architecture: str) -> str:
    for entry in index["manifests"]:
        platform = entry.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            return str(entry["digest"])
    raise CraftError(f"base {name}: there is none for linux/{architecture}")


@dataclass(frozen=True)
class _RegistryStore:
    puller: RepositoryPusher

    def find_manifest(self, reference: str) -> bytes | None:
        found = self.puller.get_manifest(reference, _MANIFEST_TYPES)
        return found[0] if found else None

    def read_blob(self, digest: str) -> Iterator[bytes]:
        return self.puller.read_blob(digest)


@dataclass(frozen=True)
class _LayoutStore:
    folder: Path

    def find_manifest(self, reference: str) -> bytes | None:
        if reference.startswith("sha256:"):
            return self._path(reference).read_bytes()
        entries = orjson.loads((self.folder / "index.json").read_bytes())["manifests"]
        named = [
            entry
            for entry in entries
            if not reference or (entry.get("annotations") or {}).get(REF_NAME) == reference
        ]
        return self._path(named[0]["digest"]).read_bytes() if len(named) == 1 else None

    def read_blob(self, digest: str) -> Iterator[bytes]:
        with self._path(digest).open("rb") as file:
            while block := file.read(_READ_BYTES):
                yield block

    def _path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")


def _open_layout(text: str) -> tuple[_Store, str]:
    """Split DIR[:TAG]; a colon in the folder's name is the folder's when that exists."""
    folder, _, tag = text.rpartition(":")
    if not folder or Path(text).is_dir():
        folder, tag = text, ""
    if not (Path(folder) / "index.json").is_file():
        raise CraftError(f"base oci:{text}: there is no OCI layout")
    return _LayoutStore(Path(folder)), tag
