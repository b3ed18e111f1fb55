"""Unpack one downloaded layer into a folder of its own, as a snapshotter does, with a clock.

Sources: OCI image specification 1.1, "Image Layer Filesystem Changeset" (tar, hard links into lower
layers, whiteouts, which stay files here as they are in a layer); RFC 1952 (gzip), RFC 8878 (zstd).
Nobody need be root: owners are set only where that is allowed, and device files are left out.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard
from isal import igzip, isal_zlib

from pullstudy.errors import ImageError
from pullstudy.hashing import ThreadedSha256

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
_PIECE_BYTES = 1 << 17
_PIECES_IN_FLIGHT = 8
# What the zstd program itself takes without being told to take more.
_ZSTD_WINDOW_BYTES_MAX = 128 << 20
_BROKEN = (tarfile.TarError, EOFError, zstandard.ZstdError, gzip.BadGzipFile, isal_zlib.error)


@dataclass(frozen=True)
class Unpacked:
    """A layer that is on disk.

    decompress_seconds: with what the digest of the tar, taken beside it, keeps it waiting.
    """

    uncompressed_bytes: int
    decompress_seconds: float
    unpack_seconds: float


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _ClockedTar:
    """The tar of a layer, read once and digested; clocks how long reading takes."""

    def __init__(self, reader: _Reader, sha256: ThreadedSha256) -> None:
        self._reader = reader
        self._sha256 = sha256
        self.seconds = 0.0

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        begun = time.perf_counter()
        piece = self._reader.read(size)
        self._sha256.update(piece)
        self.seconds += time.perf_counter() - begun
        return piece


def unpack_layer(
    blob: Path, folder: Path, diff_id: str | None, below: Sequence[Path] = ()
) -> Unpacked:
    """Unpack the blob into `folder`, which is made.

    diff_id: digest that the tar must have. below: folders of the lower layers, the nearest last,
    for hard links into them. Raises ImageError when the layer is damaged, OSError when it cannot
    be written.
    """
    begun = time.perf_counter()
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        sha256 = stack.enter_context(ThreadedSha256(_PIECES_IN_FLIGHT))
        plain = _ClockedTar(_open_plain(stack.enter_context(blob.open("rb")), stack), sha256)
        try:
            _extract(plain, folder, below)
            # Padding behind the tar's end is part of what the digest is of.
            while plain.read(_PIECE_BYTES):
                pass
        except _BROKEN as exc:  # type: ignore[misc]  # the stub of isal lacks its class
            raise ImageError(f"layer {blob.name[:12]} is damaged: {exc}") from exc
        digest = sha256.digest()
    if diff_id is not None and digest != diff_id:
        raise ImageError(f"layer {blob.name[:12]} unpacks to {digest}, not {diff_id}")
    seconds = time.perf_counter() - begun
    return Unpacked(sha256.size_bytes, plain.seconds, seconds - plain.seconds)


def _open_plain(file: BinaryIO, stack: contextlib.ExitStack) -> _Reader:
    """Choose the decoder by the first bytes, as container runtimes do."""
    head = file.read(4)
    file.seek(0)
    if head.startswith(_GZIP_MAGIC):
        return cast("_Reader", stack.enter_context(igzip.IGzipFile(fileobj=file, mode="rb")))
    if head.startswith(_ZSTD_MAGIC) or head[1:] == _SKIPPABLE_MAGIC:
        context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
        return stack.enter_context(
            context.stream_reader(file, read_size=_PIECE_BYTES, read_across_frames=True)
        )
    return file


def _extract(plain: _ClockedTar, folder: Path, below: Sequence[Path]) -> None:
    # It reads, and no more is asked of it.
    stream = cast("BinaryIO", plain)
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_PIECE_BYTES) as archive:
        # Much less work than pieces of the usual 16 KiB.
        archive.copybufsize = _PIECE_BYTES  # type: ignore[attr-defined]
        folders = []
        for member in archive:
            if member.ischr() or member.isblk():
                continue
            if member.islnk() and _copy_from_below(member, folder, below):
                continue
            archive.extract(member, folder, filter="tar")
            if member.isdir():
                folders.append(member)
            elif member.issym():
                _set_time(member, folder)
    # What is written into a folder changes its time.
    for member in folders:
        _set_time(member, folder)


def _set_time(member: tarfile.TarInfo, folder: Path) -> None:
    """Give a link or folder the time of its member, unless a later member took its place."""
    path = folder / member.name.lstrip("/")
    is_inside = path.parent.resolve().is_relative_to(folder.resolve()) or path == folder
    if is_inside and path.is_symlink() == member.issym() and os.path.lexists(path):
        os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)


def _copy_from_below(member: tarfile.TarInfo, folder: Path, below: Sequence[Path]) -> bool:
    """Copy up a file that a hard link names and only a lower layer has."""
    name = member.linkname.lstrip("/")
    if ".." in Path(name).parts or (folder / name).exists():
        return False
    for layer in reversed(below):
        source = layer / name
        if source.is_file() and not source.is_symlink():
            target = folder / member.name.lstrip("/")
            if not target.resolve().is_relative_to(folder.resolve()):
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            return True
    return False
