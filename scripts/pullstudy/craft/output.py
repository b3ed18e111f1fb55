"""Where crafted images go, and the simplest such place: a folder in the OCI image layout."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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
    """A place for images. A tag appears with the image's last byte, or not at all."""

    def prepare(self, images: list[PlannedImage]) -> None:
        """Check, before the first byte, that there is room and permission for these images."""

    def find_manifest(self, tag: str) -> bytes | None:
        """Return the manifest that stands under a tag, None when there is none."""

    def put_layers(self, layers: Sequence[Layer], watch: Watch) -> list[Blob]:
        """Make the layers of an image; `watch` sees their blocks."""

    def put_base(self, blob: Blob, base: BaseImage) -> None:
        """Take over a layer of the base."""

    def put_image(self, tag: str, documents: ImageDocuments) -> None:
        """Write config and manifest, and let the tag name them."""


class LayoutOutput:
    """An OCI image layout; the tag is the reference name of its entry in the index."""

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

    def put_layers(self, layers: Sequence[Layer], watch: Watch) -> list[Blob]:
        """Write layers one after the other; one that several images share is written once.

        A layer gets its name when the next one is there: meanwhile its last blocks are hashed.
        """
        missing = {layer.recipe: layer for layer in layers if layer.recipe not in self._made}
        unnamed: deque[tuple[Path, LayerStream]] = deque()
        with self._translate():
            try:
                for layer in missing.values():
                    stream = LayerStream(layer, watch)
                    unnamed.append((self._write(stream), stream))
                    if len(unnamed) > 1:
                        self._name_layer(*unnamed.popleft())
                while unnamed:
                    self._name_layer(*unnamed.popleft())
            except BaseException:
                for partial, _ in unnamed:
                    partial.unlink(missing_ok=True)
                raise
        return [self._made[layer.recipe] for layer in layers]

    def put_base(self, blob: Blob, base: BaseImage) -> None:
        """Copy a layer of the base."""
        if self._path(blob.digest).exists():
            return
        with self._translate():
            self._write(base.open_blob(blob)).replace(self._path(blob.digest))

    def put_image(self, tag: str, documents: ImageDocuments) -> None:
        """Write config and manifest, then the index."""
        for content in (documents.config, documents.manifest):
            with self._translate(), replace_atomically(self._path(digest_of(content))) as partial:
                partial.write_bytes(content)
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

    def _name_layer(self, partial: Path, stream: LayerStream) -> None:
        partial.replace(self._path(stream.digest))
        self._made[stream.layer.recipe] = stream.blob

    def _write(self, blocks: Iterable[bytes | memoryview]) -> Path:
        """Write a blob beside its place: the folder is cleared of what was not moved there."""
        partial = self._blobs / f".{secrets.token_hex(8)}.partial"
        try:
            # The buffer gathers headers; blocks that are larger go past it.
            with partial.open("xb") as file:
                for block in blocks:
                    file.write(block)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return partial

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
