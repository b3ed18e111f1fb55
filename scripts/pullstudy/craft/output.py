"""Where crafted images go, and the simplest such place: a folder in the OCI image layout."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from pullstudy.craft.base import BaseImage
from pullstudy.craft.image import ImageDocuments
from pullstudy.craft.layers import Layer
from pullstudy.craft.plan import PlannedImage, unique_layers
from pullstudy.craft.stream import Blob, LayerStream, Watch
from pullstudy.errors import CraftError
from pullstudy.files import replace_atomically
from pullstudy.registry.cache import digest_of
from pullstudy.registry.layout import REF_NAME

_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


class Output(Protocol):
    """A place for images. A tag appears with the image's last byte, or not at all.

    layers_at_once: how many layers of an image it takes at the same time.
    """

    layers_at_once: int

    def prepare(self, images: list[PlannedImage]) -> None:
        """Check, before the first byte, that there is room and permission for these images."""

    def find_manifest(self, tag: str) -> bytes | None:
        """Return the manifest that stands under a tag, None when there is none."""

    def put_layer(self, layer: Layer, watch: Watch) -> Blob:
        """Make a layer; `watch` sees its blocks, and may stop it."""

    def put_base(self, blob: Blob, base: BaseImage) -> None:
        """Take over a layer of the base."""

    def put_image(self, tag: str, documents: ImageDocuments) -> None:
        """Write config and manifest, and let the tag name them."""


class LayoutOutput:
    """An OCI image layout; the tag is the reference name of its entry in the index."""

    # While one layer waits for its last hashes, the next one begins.
    layers_at_once = 2

    def __init__(self, folder: Path) -> None:
        """Open a layout or begin an empty one.

        Raises CraftError when the folder holds something else or cannot be written.
        """
        self.folder = folder
        self._made: dict[str, Blob] = {}
        self._blobs = folder / "blobs" / "sha256"
        with self._translate():
            if folder.exists() and any(folder.iterdir()) and not (folder / "oci-layout").exists():
                raise CraftError(f"{folder}: no OCI layout; name an empty or a new folder")
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._index = self._load_index()
            for partial in self._blobs.glob(".*.partial"):
                partial.unlink(missing_ok=True)
            (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
            self._save_index()

    def prepare(self, images: list[PlannedImage]) -> None:
        """Check that the disk has room for all layers."""
        needed = sum(layer.compressed_bytes for layer in unique_layers(images))
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise CraftError(
                f"{self.folder}: the images need {needed:,} bytes, the disk has {free:,} free; "
                "free some space or choose another folder"
            )

    def find_manifest(self, tag: str) -> bytes | None:
        """Return the manifest of a tag if all its blobs are there in their length."""
        for entry in self._index["manifests"]:
            if entry.get("annotations", {}).get(REF_NAME) == tag:
                content = self._read(entry["digest"])
                return content if content and self._is_whole(content) else None
        return None

    def put_layer(self, layer: Layer, watch: Watch) -> Blob:
        """Write a layer beside its place, and move it there when its digest is known.

        A layer that several images share is written once.
        """
        if layer.recipe in self._made:
            return self._made[layer.recipe]
        stream = LayerStream(layer, watch)
        with self._partial() as (partial, file):
            for block in stream:
                file.write(block)
            partial.replace(self._path(stream.digest))
        self._made[layer.recipe] = stream.blob
        return stream.blob

    def put_base(self, blob: Blob, base: BaseImage) -> None:
        """Copy a layer of the base."""
        if self._path(blob.digest).exists():
            return
        with self._partial() as (partial, file):
            for block in base.open_blob(blob):
                file.write(block)
            partial.replace(self._path(blob.digest))

    def put_image(self, tag: str, documents: ImageDocuments) -> None:
        """Write config and manifest, then the index."""
        for content in (documents.config, documents.manifest):
            with self._partial() as (partial, file):
                file.write(content)
                partial.replace(self._path(digest_of(content)))
        entry = {
            "mediaType": orjson.loads(documents.manifest)["mediaType"],
            "digest": documents.digest,
            "size": len(documents.manifest),
            "annotations": {REF_NAME: tag},
        }
        others = [
            other
            for other in self._index["manifests"]
            if other.get("annotations", {}).get(REF_NAME) != tag
        ]
        self._index["manifests"] = [*others, entry]
        with self._translate():
            self._save_index()

    def _load_index(self) -> dict[str, Any]:
        path = self.folder / "index.json"
        if not path.exists():
            return {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": []}
        try:
            index: dict[str, Any] = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as exc:
            raise CraftError(f"{path}: no JSON; repair it or name another folder") from exc
        return index

    def _save_index(self) -> None:
        with replace_atomically(self.folder / "index.json") as partial:
            partial.write_bytes(orjson.dumps(self._index, option=orjson.OPT_INDENT_2))

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _read(self, digest: str) -> bytes | None:
        path = self._path(digest)
        content = path.read_bytes() if path.exists() else b""
        return content if digest_of(content) == digest else None

    def _is_whole(self, manifest: bytes) -> bool:
        parts = orjson.loads(manifest)
        return all(
            self._path(part["digest"]).exists()
            and self._path(part["digest"]).stat().st_size == part["size"]
            for part in (parts["config"], *parts["layers"])
        )

    @contextlib.contextmanager
    def _partial(self) -> Iterator[tuple[Path, Any]]:
        """Open a file for a blob; it is deleted unless the block has moved it away."""
        partial = self._blobs / f".{secrets.token_hex(8)}.partial"
        with self._translate():
            try:
                # Blocks are large: a buffer would only copy them.
                with partial.open("xb", buffering=0) as file:
                    yield partial, _Whole(file)
            finally:
                partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _translate(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            is_full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free some space or choose" if is_full else "choose"
            raise CraftError(
                f"{self.folder}: {os.strerror(exc.errno or 0)}; {advice} another folder"
            ) from exc


class _Whole:
    """Writes blocks whole: an unbuffered file may take a part of one."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, block: Any) -> None:
        rest = memoryview(block).cast("B") if len(block) else memoryview(b"")
        while len(rest):
            rest = rest[self._file.write(rest) :]
