"""What stands in the files of a crafted layer: seeded bytes of a known compressibility.

A file is a row of stripes; each stripe holds three kinds of bytes in the same proportion:

    random   incompressible
    letters  63 letters, about equally likely: 6 bits each for any Huffman coder, and inflating
             them is real work; with fewer letters chance repetitions lead compressors astray
    zeros    shrink to almost nothing

The bytes come from numpy's SFC64 seeded by SeedSequence; both streams are fixed by NEP 19
(bit generators do not change theirs), so the same seed gives the same bytes everywhere. Two stripes
are drawn once; each stripe of a file is the first of them XOR the second, turned by a random number
of words, XOR a random word: as hard to compress, and ten times as fast.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pullstudy.errors import CraftError

Bytes = NDArray[np.uint8]

# 16 stored blocks of deflate (65,535 bytes each, RFC 1951 section 3.2.4), 8 blocks of Zstandard
# (at most 128 KiB, RFC 8878 section 3.1.1.2), and whole 64-bit words.
STRIPE_BYTES = 16 * 65_535
_WORD_BYTES = 8
_STRIPE_WORDS = STRIPE_BYTES // _WORD_BYTES
# Files are whole tar blocks, so that no file needs padding.
UNIT_BYTES = 512

# One less than 6 bits can tell apart: deflate needs the last code for its end-of-block symbol.
LETTER_COUNT = 63
LETTER_BITS = 6
FIRST_LETTER = ord("@")
# Zstandard cuts letters into four streams; 32 letters are packed into three 64-bit words.
_LETTER_GROUP = 4 * 32
# Below this a block of letters costs more in headers than it saves.
_LETTERS_MIN_BYTES = 1024


class Ring:
    """Arrays that are used again and again: fresh ones would cost more than filling them.

    An array is good until `BLOCKS` others have been taken; no reader may be further behind.
    """

    BLOCKS = 6

    def __init__(self) -> None:
        self._arrays: list[Bytes] = [np.empty(0, np.uint8)] * self.BLOCKS
        self._next = 0

    def take(self, size_bytes: int) -> Bytes:
        """Return an array of this size; what it holds is left over from before."""
        slot = self._next
        self._next = (slot + 1) % self.BLOCKS
        if self._arrays[slot].size < size_bytes:
            self._arrays[slot] = np.empty(size_bytes, np.uint8)
        return self._arrays[slot][:size_bytes]


@dataclass
class Rings:
    """The memory in which a layer is made: one ring for its tar, one for its coded form."""

    plain: Ring = field(default_factory=Ring)
    coded: Ring = field(default_factory=Ring)


_free_rings: list[Rings] = []


@contextlib.contextmanager
def borrow_rings() -> Iterator[Rings]:
    """Lend memory that an earlier layer has used; nobody may read it when the block ends."""
    try:
        rings = _free_rings.pop()
    except IndexError:
        rings = Rings()
    try:
        yield rings
    finally:
        _free_rings.append(rings)


class Kind(enum.Enum):
    """The three kinds of bytes."""

    RAW = "raw"
    LETTERS = "letters"
    ZEROS = "zeros"


@dataclass(frozen=True)
class Piece:
    """A run of bytes of one kind.

    data: RAW, the bytes; LETTERS, the number of each letter, 0 to 62; ZEROS, empty.
    """

    kind: Kind
    size_bytes: int
    data: Bytes

    def plain(self) -> Bytes:
        """The bytes themselves, (size_bytes,) uint8."""
        if self.kind is Kind.RAW:
            return self.data
        if self.kind is Kind.LETTERS:
            return self.data + np.uint8(FIRST_LETTER)
        return _ZEROS[: self.size_bytes]


@dataclass(frozen=True)
class Mix:
    """The shares of letters and zeros in a stripe; the rest is random."""

    letters: float
    zeros: float

    def split(self, size_bytes: int) -> tuple[tuple[Kind, int], ...]:
        """Cut a stripe into its kinds; parts too small to be worth it are random."""
        letters = int(size_bytes * self.letters) // _LETTER_GROUP * _LETTER_GROUP
        letters = letters if letters >= _LETTERS_MIN_BYTES else 0
        zeros = int(size_bytes * self.zeros)
        parts = (
            (Kind.RAW, size_bytes - letters - zeros),
            (Kind.LETTERS, letters),
            (Kind.ZEROS, zeros),
        )
        return tuple((kind, size) for kind, size in parts if size)


ALL_RANDOM = Mix(letters=0.0, zeros=0.0)
ALL_ZEROS = Mix(letters=0.0, zeros=1.0)


def mix_for_ratio(ratio: float, letters_cost: float, zeros_cost: float) -> Mix:
    """Find the mix whose uncompressed size is `ratio` times its compressed size.

    letters_cost, zeros_cost: compressed bytes per byte of that kind.
    Raises CraftError when no mix reaches the ratio.
    """
    share = 1.0 / ratio
    if not zeros_cost <= share <= 1.0:
        raise CraftError(
            f"content: ratio {ratio:g} cannot be reached; choose 1 to {1 / zeros_cost:.0f}"
        )
    if share >= letters_cost:
        return Mix(letters=(1.0 - share) / (1.0 - letters_cost), zeros=0.0)
    letters = (share - zeros_cost) / (letters_cost - zeros_cost)
    return Mix(letters=letters, zeros=1.0 - letters)


def split_file(mix: Mix, size_bytes: int) -> tuple[int, tuple[tuple[Kind, int], ...]]:
    """Return how many whole stripes a file has, and the parts of the last, shorter one."""
    whole, rest = divmod(size_bytes, STRIPE_BYTES)
    return whole, mix.split(rest)


def generate_pieces(mix: Mix, size_bytes: int, key: str, ring: Ring) -> Iterator[Piece]:
    """Yield the content of a file; `key` names it: same key, same bytes.

    The pieces lie in `ring`: each is good until the ring comes round to it again.
    """
    stripe = mix.split(STRIPE_BYTES)
    whole, last = split_file(mix, size_bytes)
    drawn = max(_drawn_bytes(last), _drawn_bytes(stripe) if whole else 0)
    stripes = _random_stripes(key, drawn, ring)
    for parts in (*itertools.repeat(stripe, whole), last):
        if parts:
            yield from _cut_stripe(parts, next(stripes))


def pack_letters(codes: Bytes) -> Bytes:
    """Pack codes of 6 bits, the first one lowest; their number is a multiple of 32.

    Four fields of 16 bits become two of 32, then one of 64: 8 codes in 48 bits; four of these
    become three whole words.
    """
    x = codes.view("<u8")
    x = (x & 0x003F003F003F003F) | (x & 0x3F003F003F003F00) >> 2
    x = (x & 0x00000FFF00000FFF) | (x & 0x0FFF00000FFF0000) >> 4
    x = (x & 0x0000000000FFFFFF) | (x & 0x00FFFFFF00000000) >> 8
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    words = np.empty((a.size, 3), "<u8")
    words[:, 0] = a | b << 48
    words[:, 1] = b >> 16 | c << 32
    words[:, 2] = c >> 32 | d << 16
    return words.view(np.uint8).ravel()


def literal(data: bytes) -> Piece:
    """Make a piece of given bytes."""
    return Piece(Kind.RAW, len(data), np.frombuffer(data, np.uint8))


def _drawn_bytes(parts: tuple[tuple[Kind, int], ...]) -> int:
    return sum(size for kind, size in parts if kind is not Kind.ZEROS)


def _cut_stripe(parts: tuple[tuple[Kind, int], ...], drawn: Bytes) -> Iterator[Piece]:
    """Make the pieces of a stripe out of random bytes."""
    for kind, size in parts:
        if kind is Kind.ZEROS:
            yield Piece(kind, size, _NOTHING)
            continue
        data, drawn = drawn[:size], drawn[size:]
        if kind is Kind.LETTERS:
            data = ((data.astype(np.uint16) * LETTER_COUNT) >> 8).astype(np.uint8)
        yield Piece(kind, size, data)


def _random_stripes(key: str, size_bytes: int, ring: Ring) -> Iterator[Bytes]:
    """Yield arrays of `size_bytes` random bytes without end."""
    source = _seeded(key)
    first, second = _drawn_stripes()
    count = -(-size_bytes // _WORD_BYTES)
    while True:
        turn, word = source.random_raw(2)
        start = int(turn) % _STRIPE_WORDS
        words = ring.take(count * _WORD_BYTES).view("<u8")
        np.bitwise_xor(first[:count], second[start : start + count], out=words)
        np.bitwise_xor(words, word, out=words)
        yield words.view(np.uint8)[:size_bytes]


@functools.cache
def _drawn_stripes() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Draw the two stripes that all others are made of; the second twice over, to be turned."""
    first, second = (_seeded(f"stripe {n}").random_raw(_STRIPE_WORDS) for n in (1, 2))
    return first, np.concatenate([second, second])


def _seeded(key: str) -> np.random.SFC64:
    entropy = int.from_bytes(hashlib.sha256(key.encode()).digest())
    return np.random.SFC64(np.random.SeedSequence(entropy))


_NOTHING: Bytes = np.empty(0, np.uint8)
_ZEROS: Bytes = np.zeros(STRIPE_BYTES, np.uint8)
_ZEROS.flags.writeable = False
