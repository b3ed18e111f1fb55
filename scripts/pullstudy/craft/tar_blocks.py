"""Tar headers, written by hand: what `tarfile` writes differs between versions of Python.

Format: POSIX.1-2001, "ustar Interchange Format" and "pax Extended Header".
"""

from __future__ import annotations

from pullstudy.craft.content import UNIT_BYTES

BLOCK_BYTES = UNIT_BYTES
END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)
# Eleven octal digits; a larger file needs an extended header.
_SIZE_LIMIT_BYTES = 8**11
_PATH_LIMIT_BYTES = 100
_REGULAR_FILE, _EXTENDED = b"0", b"x"


def header_bytes(size_bytes: int) -> int:
    """Count the bytes of a file's header: one block, or three for 8 GiB and more."""
    return BLOCK_BYTES if size_bytes < _SIZE_LIMIT_BYTES else 3 * BLOCK_BYTES


def padding_bytes(size_bytes: int) -> int:
    """Count the zeros that fill a file's last block."""
    return -size_bytes % BLOCK_BYTES


def file_header(path: str, size_bytes: int, mode: int) -> bytes:
    """Return the header of a regular file of root's, modified at the epoch."""
    if size_bytes < _SIZE_LIMIT_BYTES:
        return _ustar_block(path, size_bytes, mode, _REGULAR_FILE)
    record = _pax_record("size", str(size_bytes))
    return (
        _ustar_block("PaxHeader", len(record), 0o644, _EXTENDED)
        + record.ljust(BLOCK_BYTES, b"\0")
        # The extended header overrides the size.
        + _ustar_block(path, 0, mode, _REGULAR_FILE)
    )


def _ustar_block(path: str, size_bytes: int, mode: int, kind: bytes) -> bytes:
    name = path.encode()
    if len(name) > _PATH_LIMIT_BYTES:
        raise ValueError(f"{path}: longer than {_PATH_LIMIT_BYTES} bytes")
    before = name.ljust(_PATH_LIMIT_BYTES, b"\0") + b"%07o\0%07o\0%07o\0" % (mode, 0, 0)
    before += b"%011o\0%011o\0" % (size_bytes, 0)
    after = kind + bytes(100) + b"ustar\x0000"
    # Owner and group have no name; devices are numbered 0.
    after += bytes(64) + b"%07o\0%07o\0" % (0, 0)
    after = after.ljust(BLOCK_BYTES - len(before) - 8, b"\0")
    # The checksum is taken as if its own field held spaces.
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return before + b"%06o\0 " % checksum + after


def _pax_record(key: str, value: str) -> bytes:
    """Write `length key=value`, where the length counts its own digits."""
    body = f" {key}={value}\n".encode()
    length = len(body) + 2
    if len(str(length)) != 2:
        raise ValueError(f"{key}: record of {length} bytes")
    return str(length).encode() + body
