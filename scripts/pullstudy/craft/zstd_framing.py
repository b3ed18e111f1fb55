"""Zstandard frames framed by our own encoder: for the same reasons as `gzip_framing`.

Random bytes are raw blocks, zeros are run-length blocks, letters are blocks of Huffman-coded
literals without sequences. Format: RFC 8878.
"""

from __future__ import annotations

import struct

import numpy as np

from pullstudy.craft.content import (
    FIRST_LETTER,
    LETTER_BITS,
    LETTER_COUNT,
    STRIPE_BYTES,
    Bytes,
    Kind,
    Piece,
    Ring,
    pack_letters,
)

# A whole stripe is a whole number of blocks.
_BLOCK_BYTES = STRIPE_BYTES // 8
_BLOCK_HEADER_BYTES = 3
_RAW, _RUN, _COMPRESSED = 0, 1, 2
# The greatest block there is.
_LETTERS_BLOCK = 131_072
_STREAM_COUNT = 4

# Magic number, frame header without sizes or checksum, window of 8 MiB (the largest that every
# decoder must support, section 3.1.1.1.2).
_FRAME_HEADER = struct.pack("<IBB", 0xFD2FB528, 0, (23 - 10) << 3)
_LAST_BLOCK = struct.pack("<I", 1 | _RAW << 1)[:3]
_SKIPPABLE_MAGIC = 0x184D2A50
_SKIPPABLE_HEADER_BYTES = 8


class ZstdFraming:
    """One frame, and a skippable one behind it that takes up the rest."""

    letters_cost = LETTER_BITS / 8
    zeros_cost = (_BLOCK_HEADER_BYTES + 1) / _BLOCK_BYTES
    padding_bytes = range(_SKIPPABLE_HEADER_BYTES, _SKIPPABLE_HEADER_BYTES + 60_000)
    envelope_bytes = len(_FRAME_HEADER) + len(_LAST_BLOCK)

    def __init__(self, ring: Ring) -> None:
        """ring: where coded pieces are put."""
        self._ring = ring
        self._padding = b""

    @staticmethod
    def piece_bytes(kind: Kind, size_bytes: int) -> int:
        """Count the compressed bytes of a piece."""
        if kind is Kind.LETTERS:
            whole, rest = divmod(size_bytes, _LETTERS_BLOCK)
            return whole * _letters_block_bytes(_LETTERS_BLOCK) + (
                _letters_block_bytes(rest) if rest else 0
            )
        blocks = -(-size_bytes // _BLOCK_BYTES)
        return blocks * _BLOCK_HEADER_BYTES + (blocks if kind is Kind.ZEROS else size_bytes)

    def begin(self, padding_bytes: int = 0) -> bytes:
        """Return the frame's header; the padding comes at the end."""
        if padding_bytes:
            fill = padding_bytes - _SKIPPABLE_HEADER_BYTES
            self._padding = struct.pack("<II", _SKIPPABLE_MAGIC, fill) + bytes(fill)
        return _FRAME_HEADER

    def encode(self, piece: Piece, plain: Bytes) -> Bytes:
        """Return the compressed bytes of a piece: whole blocks."""
        if piece.kind is Kind.LETTERS:
            blocks = [
                _frame_letters(piece.data[start : start + _LETTERS_BLOCK])
                for start in range(0, piece.size_bytes, _LETTERS_BLOCK)
            ]
            return np.concatenate(blocks)
        if piece.kind is Kind.ZEROS:
            return _frame_zeros(piece.size_bytes)
        return _frame_raw(plain, self._ring)

    def end(self) -> bytes:
        """Return the last block and the padding."""
        return _LAST_BLOCK + self._padding


def _block_header(kind: int, size_bytes: int) -> bytes:
    return struct.pack("<I", kind << 1 | size_bytes << 3)[:_BLOCK_HEADER_BYTES]


def _frame_raw(plain: Bytes, ring: Ring) -> Bytes:
    whole, rest = divmod(plain.size, _BLOCK_BYTES)
    framed = ring.take(plain.size + _BLOCK_HEADER_BYTES * (whole + bool(rest)))
    split = whole * (_BLOCK_BYTES + _BLOCK_HEADER_BYTES)
    blocks = framed[:split].reshape(whole, _BLOCK_BYTES + _BLOCK_HEADER_BYTES)
    blocks[:, :_BLOCK_HEADER_BYTES] = list(_block_header(_RAW, _BLOCK_BYTES))
    blocks[:, _BLOCK_HEADER_BYTES:] = plain[: plain.size - rest].reshape(whole, _BLOCK_BYTES)
    if rest:
        framed[split : split + _BLOCK_HEADER_BYTES] = list(_block_header(_RAW, rest))
        framed[split + _BLOCK_HEADER_BYTES :] = plain[plain.size - rest :]
    return framed


def _frame_zeros(size_bytes: int) -> Bytes:
    whole, rest = divmod(size_bytes, _BLOCK_BYTES)
    blocks = (_block_header(_RUN, _BLOCK_BYTES) + b"\0") * whole
    if rest:
        blocks += _block_header(_RUN, rest) + b"\0"
    return np.frombuffer(blocks, np.uint8)


def _letters_block_bytes(letters: int) -> int:
    coded = letters * LETTER_BITS // 8 + _STREAM_COUNT
    return _BLOCK_HEADER_BYTES + _LITERALS_HEADER_BYTES + len(_TREE) + 6 + coded + 1


def _frame_letters(letters: Bytes) -> Bytes:
    """Frame one block (section 3.1.1.3.1) of letters: a tree, four streams, no sequences."""
    streams = [_huffman_stream(part) for part in letters.reshape(_STREAM_COUNT, -1)]
    jump_table = struct.pack("<HHH", *(stream.size for stream in streams[:-1]))
    section_bytes = len(_TREE) + len(jump_table) + sum(stream.size for stream in streams)
    # Literals compressed, four streams, sizes of 18 bits.
    sizes = _COMPRESSED | 3 << 2 | letters.size << 4 | section_bytes << 22
    literals = sizes.to_bytes(_LITERALS_HEADER_BYTES, "little") + _TREE + jump_table
    block_bytes = _LITERALS_HEADER_BYTES + section_bytes + 1
    head = np.frombuffer(_block_header(_COMPRESSED, block_bytes) + literals, np.uint8)
    return np.concatenate([head, *streams, _NO_SEQUENCES])


def _huffman_stream(letters: Bytes) -> Bytes:
    """Pack the codes in reverse: the decoder starts at the end, which a single bit marks."""
    packed = pack_letters(np.ascontiguousarray(letters[::-1]))
    return np.concatenate([packed, _STREAM_MARK])


def _huffman_tree() -> bytes:
    """Describe the code by weights (section 4.2.1): all letters alike, and one never used.

    Symbols of equal weight get ascending codes, so a letter's code is its number. The weight of the
    last symbol, the unused one, follows from the others and is not sent.
    """
    weights = [0] * FIRST_LETTER + [1] * LETTER_COUNT
    weights += [0] * (len(weights) % 2)
    count = FIRST_LETTER + LETTER_COUNT
    pairs = zip(weights[::2], weights[1::2], strict=True)
    return bytes([127 + count, *(first << 4 | second for first, second in pairs)])


_LITERALS_HEADER_BYTES = 5
_TREE = _huffman_tree()
_NO_SEQUENCES = np.zeros(1, np.uint8)
_STREAM_MARK = np.ones(1, np.uint8)
