"""Gzip streams framed by our own encoder, so that their bytes and sizes depend on no library.

What gzip writes for a given input differs between zlib, zlib-ng and isa-l, and between their
versions. The content of a crafted layer is known beforehand, so it is coded directly: random bytes
as stored blocks (what every gzip does with them), letters with a Huffman code of 6 bits each,
zeros as matches of the greatest length. Any decoder reads it; every size has a closed form.

Formats: RFC 1951 (deflate), RFC 1952 (gzip).
"""

from __future__ import annotations

import itertools
import struct
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from pullstudy.craft.content import (
    FIRST_LETTER,
    LETTER_BITS,
    LETTER_COUNT,
    Bytes,
    Kind,
    Piece,
    Ring,
    pack_letters,
)

STORED_BLOCK_BYTES = 65_535
_STORED_HEADER_BYTES = 5
_END_OF_BLOCK = 256
# The length symbol of a match of 258 bytes, the longest there is.
_LONGEST_MATCH_SYMBOL = 285
_LONGEST_MATCH_BYTES = 258
# Two bits code a match of 258 zeros, so a byte codes four.
_ZEROS_PER_BYTE = 4 * _LONGEST_MATCH_BYTES
_ZEROS_MIN_BYTES = 512
# Code length codes are sent in this order (RFC 1951 section 3.2.7).
_LENGTH_CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_ZERO_RUN_SYMBOL, _ZERO_RUN_MIN, _ZERO_RUN_MAX = 18, 11, 138
# An empty stored block: it brings the stream back to a byte boundary.
_EMPTY_STORED = b"\x00\x00\xff\xff"
_LAST_BLOCK = b"\x01\x00\x00\xff\xff"

# ID1 ID2 CM FLG MTIME XFL OS: no time, operating system unknown.
_MEMBER_HEADER = b"\x1f\x8b\x08%c\x00\x00\x00\x00\x00\xff"
_FLAG_EXTRA = 4
# XLEN, subfield ID and length; a crafted layer fills the subfield "PS" with zeros.
_EXTRA_OVERHEAD_BYTES = 6
_EXTRA_ID = b"PS"
MEMBER_BYTES = 10 + len(_LAST_BLOCK) + 8


class GzipFraming:
    """One gzip member."""

    letters_cost = LETTER_BITS / 8
    zeros_cost = 1 / _ZEROS_PER_BYTE
    # The header can take up any number of bytes from here to there, or none.
    padding_bytes = range(_EXTRA_OVERHEAD_BYTES, _EXTRA_OVERHEAD_BYTES + 60_000)
    envelope_bytes = MEMBER_BYTES

    def __init__(self, ring: Ring) -> None:
        """ring: where coded pieces are put."""
        self._ring = ring
        self._crc = 0
        self._size = 0

    @staticmethod
    def piece_bytes(kind: Kind, size_bytes: int) -> int:
        """Count the compressed bytes of a piece."""
        if kind is Kind.LETTERS:
            return len(_LETTERS_HEAD) + size_bytes * LETTER_BITS // 8 + len(_LETTERS_TAIL)
        if kind is Kind.ZEROS and size_bytes >= _ZEROS_MIN_BYTES:
            matches, tail = _zeros_tail(size_bytes)
            return len(_ZEROS_HEAD) + matches + len(tail)
        return size_bytes + _STORED_HEADER_BYTES * -(-size_bytes // STORED_BLOCK_BYTES)

    def begin(self, padding_bytes: int = 0) -> bytes:
        """Return the member's header, longer by `padding_bytes`."""
        if not padding_bytes:
            return _MEMBER_HEADER % 0
        fill = padding_bytes - _EXTRA_OVERHEAD_BYTES
        extra = struct.pack("<H2sH", fill + 4, _EXTRA_ID, fill) + bytes(fill)
        return _MEMBER_HEADER % _FLAG_EXTRA + extra

    def encode(self, piece: Piece, plain: Bytes) -> Bytes:
        """Return the compressed bytes of a piece, a whole number of bytes."""
        self._crc = isal_zlib.crc32(plain, self._crc)
        self._size += piece.size_bytes
        if piece.kind is Kind.LETTERS:
            return _frame_letters(piece)
        if piece.kind is Kind.ZEROS and piece.size_bytes >= _ZEROS_MIN_BYTES:
            return _frame_zeros(piece.size_bytes)
        return _frame_stored(plain, self._ring)

    def end(self) -> bytes:
        """Return the last block and the member's trailer."""
        return _LAST_BLOCK + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)


def _frame_stored(plain: Bytes, ring: Ring) -> Bytes:
    whole, rest = divmod(plain.size, STORED_BLOCK_BYTES)
    framed = ring.take(plain.size + _STORED_HEADER_BYTES * (whole + bool(rest)))
    split = whole * (STORED_BLOCK_BYTES + _STORED_HEADER_BYTES)
    blocks = framed[:split].reshape(whole, STORED_BLOCK_BYTES + _STORED_HEADER_BYTES)
    blocks[:, :_STORED_HEADER_BYTES] = _stored_header(STORED_BLOCK_BYTES)
    blocks[:, _STORED_HEADER_BYTES:] = plain[: plain.size - rest].reshape(whole, STORED_BLOCK_BYTES)
    if rest:
        framed[split : split + _STORED_HEADER_BYTES] = _stored_header(rest)
        framed[split + _STORED_HEADER_BYTES :] = plain[plain.size - rest :]
    return framed


def _stored_header(size_bytes: int) -> Bytes:
    header = struct.pack("<BHH", 0, size_bytes, size_bytes ^ 0xFFFF)
    return np.frombuffer(header, np.uint8)


def _frame_letters(piece: Piece) -> Bytes:
    return np.concatenate([_LETTERS_HEAD, pack_letters(_reverse_codes(piece.data)), _LETTERS_TAIL])


def _reverse_codes(letters: Bytes) -> Bytes:
    """Turn each code of 6 bits round: deflate sends the highest bit first. Eight at a time."""
    x: NDArray[Any] = letters.view(np.uint64)
    x = (x & 0x0707070707070707) << 3 | (x & 0x3838383838383838) >> 3
    x = (x & 0x0909090909090909) << 2 | (x & 0x2424242424242424) >> 2 | (x & 0x1212121212121212)
    return x.view(np.uint8)


def _frame_zeros(size_bytes: int) -> Bytes:
    matches, tail = _zeros_tail(size_bytes)
    return np.concatenate([_ZEROS_HEAD, np.zeros(matches, np.uint8), tail])


def _zeros_tail(size_bytes: int) -> tuple[int, Bytes]:
    """Return how many bytes code four matches each, and what follows them in the run."""
    whole, rest = divmod(size_bytes - 1, _ZEROS_PER_BYTE)
    matches, zeros = divmod(rest, _LONGEST_MATCH_BYTES)
    bits = _Bits()
    for _ in range(matches):
        bits.put_code(*_ZEROS_CODES[_LONGEST_MATCH_SYMBOL])
        bits.put(0, 1)
    for _ in range(zeros):
        bits.put_code(*_ZEROS_CODES[0])
    bits.put_code(*_ZEROS_CODES[_END_OF_BLOCK])
    return whole, np.frombuffer(bits.close_block(), np.uint8)


class _Bits:
    """Bits packed as deflate does: the first one is the lowest of its byte."""

    def __init__(self) -> None:
        self.value = 0
        self.count = 0

    def put(self, number: int, width: int) -> None:
        self.value |= number << self.count
        self.count += width

    def put_code(self, code: int, width: int) -> None:
        """Append a Huffman code: these alone start with their highest bit."""
        self.put(_reverse(code, width), width)

    def put_empty_block(self) -> None:
        """Append a block of the fixed code that holds nothing: 10 bits."""
        self.put(0b010, 3)
        self.put(0, 7)

    def close_block(self) -> bytes:
        """End at a byte boundary, by an empty stored block."""
        self.put(0, 3)
        self.put(0, -self.count % 8)
        return self.to_bytes() + _EMPTY_STORED

    def to_bytes(self) -> bytes:
        return self.value.to_bytes(self.count // 8, "little")


def _reverse(number: int, width: int) -> int:
    return int(f"{number:0{width}b}"[::-1], 2)


def _canonical_codes(lengths: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Assign the canonical code (RFC 1951 section 3.2.2): symbol to (code, bits)."""
    codes, code, last = {}, 0, 0
    for symbol, length in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
        code <<= length - last
        codes[symbol] = (code, length)
        code, last = code + 1, length
    return codes


def _put_dynamic_header(bits: _Bits, lengths: dict[int, int], order: tuple[int, ...]) -> None:
    """Open a block with these code lengths and two distance codes of one bit each."""
    (length_a, length_b) = sorted({*lengths.values(), 1})
    # Four length codes of two bits; 0 is there to make the code complete.
    length_codes = _canonical_codes(dict.fromkeys((0, length_a, length_b, _ZERO_RUN_SYMBOL), 2))
    literal_count = max(lengths) + 1
    bits.put(0b100, 3)
    bits.put(literal_count - 257, 5)
    bits.put(2 - 1, 5)
    bits.put(len(order) - 4, 4)
    for symbol in order:
        bits.put(2 if symbol in length_codes else 0, 3)
    position = 0
    for symbol, length in sorted(lengths.items()):
        _put_zero_lengths(bits, symbol - position, length_codes)
        bits.put_code(*length_codes[length])
        position = symbol + 1
    for _ in range(2):
        bits.put_code(*length_codes[1])


def _put_zero_lengths(bits: _Bits, count: int, length_codes: dict[int, tuple[int, int]]) -> None:
    while count:
        # Leave no remainder shorter than the shortest run.
        run = count if count <= _ZERO_RUN_MAX else min(_ZERO_RUN_MAX, count - _ZERO_RUN_MIN)
        bits.put_code(*length_codes[_ZERO_RUN_SYMBOL])
        bits.put(run - _ZERO_RUN_MIN, 7)
        count -= run


def _aligned_head(lengths: dict[int, int], first: tuple[int, int] | None) -> Bytes:
    """Open a block so that what follows the header, and the code `first`, starts a byte."""
    # Empty blocks add an even number of bits; the last length code, of 3 bits, is not needed.
    orders = (_LENGTH_CODE_ORDER, _LENGTH_CODE_ORDER[:-1])
    for order, empty_blocks in itertools.product(orders, range(4)):
        bits = _Bits()
        for _ in range(empty_blocks):
            bits.put_empty_block()
        _put_dynamic_header(bits, lengths, order)
        if first:
            bits.put_code(*first)
        if bits.count % 8 == 0:
            break
    return np.frombuffer(bits.to_bytes(), np.uint8)


def _letters_tail(end: tuple[int, int]) -> Bytes:
    bits = _Bits()
    bits.put_code(*end)
    return np.frombuffer(bits.close_block(), np.uint8)


_LETTERS_LENGTHS = dict.fromkeys(
    [*range(FIRST_LETTER, FIRST_LETTER + LETTER_COUNT), _END_OF_BLOCK], LETTER_BITS
)
_ZEROS_LENGTHS = {0: 2, _END_OF_BLOCK: 2, _LONGEST_MATCH_SYMBOL: 1}
_ZEROS_CODES = _canonical_codes(_ZEROS_LENGTHS)
_LETTERS_HEAD = _aligned_head(_LETTERS_LENGTHS, None)
_LETTERS_TAIL = _letters_tail(_canonical_codes(_LETTERS_LENGTHS)[_END_OF_BLOCK])
# A match needs a byte before it: the run starts with one zero.
_ZEROS_HEAD = _aligned_head(_ZEROS_LENGTHS, _ZEROS_CODES[0])
