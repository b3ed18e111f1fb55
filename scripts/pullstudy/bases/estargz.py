"""The table of contents of an eStargz layer: all headers of its tar in one piece, near its end.

Format: stargz-snapshotter, docs/estargz.md (footer of 51 bytes, `stargz.index.json`, version 1).
A table is believed only when the manifest holds its digest; where it differs from the tar, the
specification gives it precedence.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from pullstudy.bases.entries import (
    DEVICE,
    FIFO,
    FILE,
    FOLDER,
    HARDLINK,
    SYMLINK,
    Entry,
    decode_path,
)
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.headers import BLOCK_BYTES, parse_header
from pullstudy.bases.limits import Budget
from pullstudy.bases.unpack import Unpacker

TOC_DIGEST_ANNOTATION = "containerd.io/snapshot/stargz/toc.digest"
FOOTER_BYTES = 51
_TOC_NAME = "stargz.index.json"
# Files of the format itself, which a snapshotter that knows it does not show.
_OWN_FILES = frozenset((_TOC_NAME, ".prefetch.landmark", ".no.prefetch.landmark"))
_CHUNK = "chunk"
_KINDS = {
    "reg": FILE,
    "dir": FOLDER,
    "symlink": SYMLINK,
    "hardlink": HARDLINK,
    "char": DEVICE,
    "block": DEVICE,
    "fifo": FIFO,
}
_DEVICE_FLAGS = {"char": "3", "block": "4"}
_EMPTY_DIGEST = f"sha256:{hashlib.sha256().hexdigest()}"
_match_footer = re.compile(rb"\x1f\x8b\x08\x04.{6}\x1a\0SG\x16\0([0-9a-f]{16})STARGZ", re.S).match

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _TocEntry(msgspec.Struct, gc=False, rename="camel"):
    name: str
    type: str
    size: _Number = 0
    link_name: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    dev_major: int = 0
    dev_minor: int = 0
    digest: str = ""


class _Toc(msgspec.Struct, gc=False):
    version: int
    entries: list[_TocEntry]


_decode_toc = msgspec.json.Decoder(_Toc).decode


def find_toc(footer: bytes, layer_bytes: int) -> int | None:
    """Return where the table starts in the layer; None when that is no footer of the format."""
    match = _match_footer(footer)
    if match is None or len(footer) != FOOTER_BYTES:
        return None
    offset = int(match[1], 16)
    return offset if offset < layer_bytes - FOOTER_BYTES else None


def read_toc(
    tail: bytes, toc_digest: str, budget: Budget, *, with_digests: bool
) -> list[Entry] | None:
    """Read the entries of a layer from its end; None when digests are wanted but not there.

    tail: the bytes from the start of the table on. Raises LayerFault for a table that is damaged,
    is not the one of the manifest, or goes beyond the limits.
    """
    text = _unpack_toc(tail, budget)
    found = f"sha256:{hashlib.sha256(text).hexdigest()}"
    if found != toc_digest:
        raise LayerFault(f"its table of contents has the digest {found}, not {toc_digest}")
    try:
        toc = _decode_toc(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LayerFault(f"its table of contents cannot be read: {exc}") from exc
    if toc.version != 1:
        raise LayerFault(f"its table of contents has the unknown version {toc.version}")
    if with_digests and not all(map(_has_content, toc.entries)):
        return None
    entries = []
    for row in toc.entries:
        budget.spend_entry(len(row.name) + len(row.link_name))
        budget.spend_bytes(row.size)
        if row.type != _CHUNK:
            entries.append(_make_entry(row, budget.limits.path_bytes_max))
    return hide_own_files(entries)


def hide_own_files(entries: Iterable[Entry]) -> list[Entry]:
    """Leave out what belongs to the format and not to the image."""
    return [entry for entry in entries if entry.path.removeprefix("./") not in _OWN_FILES]


def _unpack_toc(tail: bytes, budget: Budget) -> bytes:
    """Return the content of the one file of the tar that the tail is."""
    unpacker = Unpacker()
    plain = bytearray()
    for piece in unpacker.feed(tail):
        budget.check_time()
        plain += piece
        if len(plain) > budget.limits.toc_bytes_max:
            raise LayerFault(f"its table of contents has more than {len(plain)} bytes")
    if len(plain) < BLOCK_BYTES:
        raise LayerFault("its table of contents is missing")
    header = parse_header(bytes(plain[:BLOCK_BYTES]))
    text = bytes(plain[BLOCK_BYTES : BLOCK_BYTES + header.size_bytes])
    if header.name.decode("utf-8", "replace") != _TOC_NAME or len(text) != header.size_bytes:
        raise LayerFault("its table of contents is missing, or ends too early")
    return text


def _has_content(row: _TocEntry) -> bool:
    return row.type != "reg" or not row.size or row.digest.startswith("sha256:")


def _make_entry(row: _TocEntry, path_bytes_max: int) -> Entry:
    kind = _KINDS.get(row.type)
    if kind is None:
        raise LayerFault(f"its table of contents has an entry of the unknown type {row.type!r}")
    content: str | None = None
    if kind == FILE:
        content = row.digest if row.size else _EMPTY_DIGEST
    elif kind in (SYMLINK, HARDLINK):
        content = decode_path(row.link_name.encode(), path_bytes_max)
    elif kind == DEVICE:
        content = f"{_DEVICE_FLAGS[row.type]} {row.dev_major}:{row.dev_minor}"
    path = decode_path(row.name.encode(), path_bytes_max)
    size_bytes = row.size if kind == FILE else 0
    return Entry(path, kind, size_bytes, content, row.mode & 0o7777, row.uid, row.gid)
