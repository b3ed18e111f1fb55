"""Unpack a layer piece by piece: gzip, zstd or nothing, told by its first bytes.

Media types are often wrong, so container runtimes look at the bytes as well. Formats: RFC 1952
(gzip, of many members), RFC 8878 (zstd, of many frames, some of them skippable).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import zstandard
from isal import isal_zlib

from pullstudy.bases.faults import LayerFault

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# 0x184D2A50 to 0x184D2A5F, little endian.
_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
_MAGIC_BYTES = 4
_GZIP_FORMAT = 31
_PIECE_BYTES = 1 << 20
# zstd gives back all that its input holds: at most 128 KiB per block of 4 bytes, so 32 MiB.
_ZSTD_INPUT_BYTES = 1 << 10
# What the zstd program itself takes without being told to take more.
_ZSTD_WINDOW_BYTES_MAX = 128 << 20


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


class Unpacker:
    """The unpacked bytes of a layer, in pieces of at most 32 MiB whatever goes in."""

    def __init__(self) -> None:
        self._head = b""
        self._decoder: _Decoder | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what more input gives. Raises LayerFault when it is damaged."""
        if self._decoder is None:
            self._head += data
            if len(self._head) < _MAGIC_BYTES:
                return
            self._decoder, data = _choose_decoder(self._head), self._head
        yield from self._decoder.feed(data)

    def finish(self) -> None:
        """Raise LayerFault when the input ended too early."""
        if self._decoder is not None:
            self._decoder.finish()
        elif self._head:
            raise LayerFault(f"ends after {len(self._head)} bytes")


class _Gzip:
    def __init__(self) -> None:
        self._member = _open_member()
        self._is_between = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._is_between:
                # GNU gzip takes zeros for padding, too.
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member, self._is_between = _open_member(), False
            try:
                plain = self._member.decompress(data, _PIECE_BYTES)
            except isal_zlib.error as exc:  # type: ignore[misc]  # its stub lacks the class
                raise LayerFault(f"is no sound gzip stream: {exc}") from exc
            self._is_between = self._member.eof
            data = self._member.unused_data if self._is_between else self._member.unconsumed_tail
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._is_between:
            raise LayerFault("its gzip stream ends too early")


class _Zstd:
    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
        self._frame = self._context.decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), _ZSTD_INPUT_BYTES):
            yield from self._feed_slice(data[at : at + _ZSTD_INPUT_BYTES])

    def _feed_slice(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame.eof:
                self._frame = self._context.decompressobj()
            try:
                plain = self._frame.decompress(data)
            except zstandard.ZstdError as exc:
                raise LayerFault(f"is no sound zstd stream: {exc}") from exc
            data = self._frame.unused_data
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._frame.eof:
            raise LayerFault("its zstd stream ends too early")


class _Plain:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """The tar itself says where it ends."""


def _choose_decoder(head: bytes) -> _Decoder:
    if head.startswith(_GZIP_MAGIC):
        return _Gzip()
    if head.startswith(_ZSTD_MAGIC) or head[1:_MAGIC_BYTES] == _SKIPPABLE_MAGIC:
        return _Zstd()
    return _Plain()


def _open_member() -> isal_zlib.Decompress:
    return isal_zlib.decompressobj(wbits=_GZIP_FORMAT)
