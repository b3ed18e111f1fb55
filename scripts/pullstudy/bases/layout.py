"""Images in a folder: an OCI image layout, read as it is.

Source: OCI image specification 1.1, "Image Layout" (`index.json`, `blobs/<algorithm>/<digits>`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO

import msgspec

from pullstudy.errors import ImageError
from pullstudy.naming import is_digest
from pullstudy.registry.bodies import Receive
from pullstudy.registry.content import digest_of
from pullstudy.registry.layout import REF_NAME

_PIECE_BYTES = 1 << 20
# As a registry's client takes them at most.
_DOCUMENT_BYTES_MAX = 32 << 20


class _IndexEntry(msgspec.Struct):
    digest: str
    annotations: dict[str, str] | None = None


class _Index(msgspec.Struct):
    manifests: list[_IndexEntry]


def split_layout_name(text: str) -> tuple[Path, str]:
    """Split `DIR[:TAG]`; a colon may be the folder's or the tag's. Raises ImageError."""
    ends = [len(text), *(at for at in range(len(text) - 1, 0, -1) if text[at] == ":")]
    for end in ends:
        folder = Path(text[:end])
        if (folder / "index.json").is_file():
            return folder, text[end + 1 :]
    raise ImageError(f"oci:{text}: there is no OCI image layout; write oci:DIR or oci:DIR:TAG")


class LayoutFolder:
    """The blobs of one layout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_manifest(self, tag: str) -> str:
        """Return the digest of the manifest or index of a tag; without one, of the only one.

        Raises ImageError.
        """
        path = self._folder / "index.json"
        try:
            entries = msgspec.json.decode(path.read_bytes(), type=_Index).manifests
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ImageError(f"{path}: cannot be read: {exc}") from exc
        names = [(entry.annotations or {}).get(REF_NAME, "") for entry in entries]
        found = {
            entry.digest
            for entry, name in zip(entries, names, strict=True)
            if tag in ("", name, entry.digest)
        }
        if len(found) != 1:
            offered = ", ".join(sorted(filter(None, names))) or "none with a name"
            raise ImageError(f"oci:{self._folder}: choose one of its images: {offered}")
        return found.pop()

    async def get(self, digest: str) -> bytes:
        """Return a verified manifest or config. Raises ImageError."""
        content = bytearray()

        async def keep(piece: bytes) -> None:
            content.extend(piece)

        size_bytes = self._find(digest).stat().st_size
        if size_bytes > _DOCUMENT_BYTES_MAX:
            raise ImageError(f"oci:{self._folder}: {digest} has {size_bytes} bytes, too many")
        await self.read(digest, size_bytes, keep)
        if digest_of(bytes(content), digest) != digest:
            raise ImageError(f"oci:{self._folder}: {digest} is damaged")
        return bytes(content)

    async def read(self, digest: str, size_bytes: int, receive: Receive) -> None:
        """Hand a whole blob on, piece by piece. Raises ImageError when it has another size."""
        left = size_bytes
        with self._open(digest, size_bytes) as file:
            while left and (piece := await asyncio.to_thread(file.read, min(left, _PIECE_BYTES))):
                left -= len(piece)
                await receive(piece)
        if left:
            raise ImageError(f"oci:{self._folder}: {digest}: {left} bytes are missing")

    async def read_range(self, digest: str, first: int, end: int, size_bytes: int) -> bytes:
        """Return the bytes from `first` to before `end`."""
        with self._open(digest, size_bytes) as file:
            file.seek(first)
            return file.read(end - first)

    def _open(self, digest: str, size_bytes: int) -> BinaryIO:
        path = self._find(digest)
        found = path.stat().st_size
        if found != size_bytes:
            raise ImageError(
                f"oci:{self._folder}: {digest} has {found} bytes, not {size_bytes}; copy it anew"
            )
        try:
            return path.open("rb")
        except OSError as exc:
            raise ImageError(f"{path}: cannot be read: {exc.strerror}") from exc

    def _find(self, digest: str) -> Path:
        # A digest is part of a path: one that is none could lead anywhere.
        if not is_digest(digest):
            raise ImageError(f"oci:{self._folder}: {digest[:100]!r} is no digest")
        path = self._folder / "blobs" / digest.replace(":", "/")
        if not path.is_file():
            raise ImageError(f"oci:{self._folder}: {digest} is missing")
        return path
