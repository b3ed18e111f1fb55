"""What a layer says of one path."""

from __future__ import annotations

from typing import NamedTuple

from pullstudy.bases.faults import LayerFault

FILE = "file"
FOLDER = "folder"
SYMLINK = "symlink"
HARDLINK = "hardlink"
DEVICE = "device"
FIFO = "fifo"


class Entry(NamedTuple):
    """One entry of a layer, in the order of the layer.

    path: as written; bytes that are not UTF-8 are escaped by surrogates. kind: one of the names
    above. content: digest of a file (None where it was not asked for), target of a link, numbers
    of a device. mode: permission bits.
    """

    path: str
    kind: str
    size_bytes: int = 0
    content: str | None = None
    mode: int = 0
    uid: int = 0
    gid: int = 0


def decode_path(path: bytes, path_bytes_max: int) -> str:
    """Return a path as text. Raises LayerFault when no file system could have it."""
    if len(path) > path_bytes_max:
        raise LayerFault(f"has a path of {len(path)} bytes, more than {path_bytes_max}")
    if b"\0" in path:
        raise LayerFault("has a path with a zero byte in it")
    return path.decode("utf-8", "surrogateescape")
