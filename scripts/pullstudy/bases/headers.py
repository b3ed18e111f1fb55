"""One header of a tar: its fields, and the records that extend it.

Formats: POSIX.1-2017 `pax` (ustar and extended headers), GNU tar (long names, sparse files), and
the tar of Version 7. Where they leave a choice this reads as Go's archive/tar does, with which
container runtimes unpack.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pullstudy.bases.entries import DEVICE, FIFO, FILE, FOLDER, HARDLINK, SYMLINK
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.sparse import parse_decimal, read_number

BLOCK_BYTES = 512
LONG_NAME = tarfile.GNUTYPE_LONGNAME
LONG_LINK = tarfile.GNUTYPE_LONGLINK
PAX = tarfile.XHDTYPE
PAX_GLOBAL = tarfile.XGLTYPE
GNU_SPARSE = tarfile.GNUTYPE_SPARSE
EXTENSIONS = frozenset((LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL))
KINDS: Mapping[bytes, str] = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.CONTTYPE: FILE,
    GNU_SPARSE: FILE,
    tarfile.LNKTYPE: HARDLINK,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.CHRTYPE: DEVICE,
    tarfile.BLKTYPE: DEVICE,
    tarfile.DIRTYPE: FOLDER,
    tarfile.FIFOTYPE: FIFO,
}
_CHECKSUM = slice(148, 156)
# The sum of Adler-32 starts at 1 and is taken modulo this prime.
_ADLER_MODULUS = 65_521


class Header(NamedTuple):
    """The fields of a header; `flag` is its type, as it stands there."""

    name: bytes
    flag: bytes
    link: bytes
    size_bytes: int
    mode: int
    uid: int
    gid: int
    device: str

    @property
    def kind(self) -> str:
        """The kind of the entry. Raises LayerFault when no runtime knows it."""
        kind = KINDS.get(self.flag)
        if kind is None:
            raise LayerFault(f"has an entry of the unknown type {self.flag!r}")
        # The tar of Version 7 knew folders by their names only.
        if kind == FILE and self.name.endswith(b"/"):
            return FOLDER
        return kind


def parse_header(block: bytes) -> Header:
    """Read a block. Raises LayerFault when it is no header."""
    _check_sum(block)
    name, flag = _text(block[:100]), block[156:157]
    # GNU headers ("ustar  ") hold times where POSIX has the prefix.
    if block[257:263] == b"ustar\0" and block[345]:
        # The tar of Joerg Schilling has a shorter prefix, and times after it.
        prefix = block[345:476] if block[508:512] == b"tar\0" else block[345:500]
        name = _text(prefix) + b"/" + name
    is_device = KINDS.get(flag) == DEVICE
    return Header(
        name,
        flag,
        _text(block[157:257]),
        read_number(block[124:136]),
        read_number(block[100:108]) & 0o7777,
        read_number(block[108:116]),
        read_number(block[116:124]),
        _device_of(block) if is_device else "",
    )


def override(header: Header, records: Sequence[tuple[str, bytes]]) -> Header:
    """Put the values of extended headers in the place of a header's."""
    last = dict(records)
    numbers = {key: parse_decimal(last[key]) for key in ("size", "uid", "gid") if key in last}
    return header._replace(
        name=last.get("path", header.name),
        link=last.get("linkpath", header.link),
        size_bytes=numbers.get("size", header.size_bytes),
        uid=numbers.get("uid", header.uid),
        gid=numbers.get("gid", header.gid),
    )


def parse_records(content: bytes) -> list[tuple[str, bytes]]:
    """Read the `<length> <key>=<value>` records of a pax header, in their order."""
    records = []
    at = 0
    while at < len(content):
        digits, space, _ = content[at : at + 21].partition(b" ")
        end = at + parse_decimal(digits)
        key, equals, value = content[at + len(digits) + 1 : end - 1].partition(b"=")
        if not (space and equals) or end > len(content) or content[end - 1 : end] != b"\n":
            raise LayerFault("has a broken extended header")
        records.append((key.decode("utf-8", "replace"), value))
        at = end
    return records


def _check_sum(block: bytes) -> None:
    try:
        said = read_number(block[_CHECKSUM])
    except LayerFault:
        said = -1
    # The sum of all bytes, its own field taken for spaces, in C: Adler-32 holds it.
    found = zlib.adler32(b" " * 8, zlib.adler32(block[156:], zlib.adler32(block[:148])))
    if (found & 0xFFFF) != (said + 1) % _ADLER_MODULUS and said != _signed_sum(block):
        raise LayerFault("is no tar, or a damaged one: a header is wrong")


def _signed_sum(block: bytes) -> int:
    """Some old programs took bytes for signed."""
    return sum(memoryview(block[:148] + b" " * 8 + block[156:]).cast("b"))


def _device_of(block: bytes) -> str:
    return f"{read_number(block[329:337])}:{read_number(block[337:345])}"


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
