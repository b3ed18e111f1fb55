"""Sparse files in tars: which parts of them are stored, and how large they claim to be.

Formats: GNU tar manual, "Storing Sparse Files": the old GNU format and the pax formats 0.0, 0.1
and 1.0. A file of a few blocks may claim exabytes: only its claim is kept here.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pullstudy.bases.faults import LayerFault

_HEADER_MAP = slice(386, 482)
_HEADER_MORE = 482
_HEADER_SIZE = slice(483, 495)
_EXTENSION_MAP = slice(0, 504)
_EXTENSION_MORE = 504
_NUMBER_BYTES = 12


class Part(NamedTuple):
    """A part of a file that is stored: the rest are zeros."""

    offset: int
    size_bytes: int


class SparseFile(NamedTuple):
    """size_bytes: with its holes. parts: what is stored. name: where the header has another one.

    in_content: the parts are still to be read from the start of the content (pax format 1.0).
    """

    size_bytes: int
    parts: tuple[Part, ...] = ()
    name: bytes | None = None
    in_content: bool = False


def read_header_map(block: bytes) -> tuple[int, list[Part], bool]:
    """Read size and parts of an old GNU header, and whether an extension block follows."""
    parts = list(_read_pairs(block[_HEADER_MAP]))
    return read_number(block[_HEADER_SIZE]), parts, block[_HEADER_MORE] != 0


def read_extension_map(block: bytes) -> tuple[list[Part], bool]:
    """Read the parts of an extension block, and whether another one follows."""
    return list(_read_pairs(block[_EXTENSION_MAP])), block[_EXTENSION_MORE] != 0


def read_pax(records: Sequence[tuple[str, bytes]]) -> SparseFile | None:
    """Find a sparse file in pax records; None when they describe none."""
    last = dict(records)
    name = last.get("GNU.sparse.name")
    if last.get("GNU.sparse.major") == b"1":
        return SparseFile(_size_in(last, "GNU.sparse.realsize"), (), name, in_content=True)
    if "GNU.sparse.map" in last:
        numbers = [parse_decimal(text) for text in last["GNU.sparse.map"].split(b",") if text]
        return SparseFile(_size_in(last, "GNU.sparse.size"), tuple(_pair(numbers)), name)
    if "GNU.sparse.size" in last:
        keys = ("GNU.sparse.offset", "GNU.sparse.numbytes")
        numbers = [parse_decimal(value) for key, value in records if key in keys]
        return SparseFile(_size_in(last, "GNU.sparse.size"), tuple(_pair(numbers)), name)
    return None


def parse_content_map(text: bytes) -> tuple[Part, ...]:
    """Read the map at the start of the content (pax format 1.0): a number per line, then padding.

    The first number says how many parts there are.
    """
    lines = text.split(b"\n")
    return tuple(
        _pair([parse_decimal(line) for line in lines[1 : 2 * parse_decimal(lines[0]) + 1]])
    )


def check_parts(sparse: SparseFile, stored_bytes: int) -> None:
    """Raise LayerFault unless the parts are in order, inside of the file and all stored."""
    at = 0
    for part in sparse.parts:
        if part.offset < at:
            raise LayerFault("has a sparse file whose parts overlap")
        at = part.offset + part.size_bytes
    if at > sparse.size_bytes or sum(part.size_bytes for part in sparse.parts) != stored_bytes:
        raise LayerFault("has a sparse file whose parts do not fit its size")


def read_number(field: bytes) -> int:
    """Read a number of a tar header: octal digits, or base 256. Raises LayerFault."""
    try:
        number = int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        number = _read_uncommon_number(field)
    if number < 0:
        raise LayerFault("has a header with a negative number")
    return number


def _read_uncommon_number(field: bytes) -> int:
    """Read base 256, and digits with something after them."""
    try:
        number: int = tarfile.nti(field)  # type: ignore[attr-defined]
    except tarfile.HeaderError as exc:
        raise LayerFault("has a header with a broken number") from exc
    return number


def parse_decimal(text: bytes) -> int:
    """Read a decimal number. Raises LayerFault."""
    # More digits than 64 bits hold; conversion takes quadratic time.
    if not text.isdigit() or len(text) > 20:
        raise LayerFault("has an extended header with a broken number")
    return int(text)


def _size_in(records: Mapping[str, bytes], key: str) -> int:
    return parse_decimal(records.get(key, b""))


def _read_pairs(field: bytes) -> Iterator[Part]:
    for at in range(0, len(field), 2 * _NUMBER_BYTES):
        offset = field[at : at + _NUMBER_BYTES]
        if not offset.strip(b"\0"):
            return
        size = field[at + _NUMBER_BYTES : at + 2 * _NUMBER_BYTES]
        yield Part(read_number(offset), read_number(size))


def _pair(numbers: Sequence[int]) -> Iterator[Part]:
    if len(numbers) % 2:
        raise LayerFault("has a sparse file with half a part")
    for at in range(0, len(numbers), 2):
        yield Part(numbers[at], numbers[at + 1])
