import hashlib
import zlib
from collections import Counter

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.craft.content import (
    ALL_RANDOM,
    ALL_ZEROS,
    LETTER_BITS,
    STRIPE_BYTES,
    Kind,
    Mix,
    Ring,
    generate_pieces,
    mix_for_ratio,
    pack_letters,
)
from pullstudy.errors import CraftError

GZIP_ZEROS_COST = 1 / 1032
LETTERS_COST = LETTER_BITS / 8


def content(mix: Mix, size_bytes: int, key: str = "key") -> bytes:
    pieces = generate_pieces(mix, size_bytes, key, Ring())
    return b"".join(piece.plain().tobytes() for piece in pieces)


@pytest.mark.parametrize(
    ("ratio", "size", "digest"),
    [
        (1.0, 100_000, "f648aae6c928537d64d403c2"),
        (2.6, 3 * STRIPE_BYTES + 777, "80df95dbaba2a73d9636b380"),
    ],
)
def test_the_same_key_gives_the_same_bytes_on_every_machine(
    ratio: float, size: int, digest: str
) -> None:
    mix = mix_for_ratio(ratio, LETTERS_COST, GZIP_ZEROS_COST)
    assert hashlib.sha256(content(mix, size)).hexdigest()[:24] == digest


@settings(deadline=None)
@given(
    size=st.integers(0, 3 * STRIPE_BYTES),
    letters=st.floats(0, 1),
    zeros=st.floats(0, 1),
)
def test_content_has_its_size_and_shares(size: int, letters: float, zeros: float) -> None:
    mix = Mix(letters=letters * (1 - zeros), zeros=zeros)
    found: Counter[Kind] = Counter()
    for piece in generate_pieces(mix, size, "key", Ring()):
        assert piece.plain().size == piece.size_bytes > 0
        found[piece.kind] += piece.size_bytes
    assert found.total() == size
    stripes = size // STRIPE_BYTES + 1
    assert abs(found[Kind.ZEROS] - size * mix.zeros) <= stripes
    assert abs(found[Kind.LETTERS] - size * mix.letters) <= stripes * 1152


def test_another_key_gives_other_bytes() -> None:
    assert content(ALL_RANDOM, 4096, "a") != content(ALL_RANDOM, 4096, "b")
    assert content(ALL_ZEROS, 10_000) == bytes(10_000)


def test_random_content_cannot_be_compressed_even_far_back() -> None:
    """Later stripes are made of the first two: no window, however wide, may notice."""
    data = content(ALL_RANDOM, 8 * STRIPE_BYTES)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=27, enable_ldm=True, ldm_min_match=4, ldm_hash_rate_log=1
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    assert len(compressor.compress(data)) > len(data)
    assert len({data[i : i + 64] for i in range(0, len(data), 64)}) == -(-len(data) // 64)


@pytest.mark.parametrize("ratio", [1.0, 1.2, 4 / 3, 2.0, 2.6, 10.0])
def test_other_compressors_reach_the_ratio_too(ratio: float) -> None:
    data = content(mix_for_ratio(ratio, LETTERS_COST, GZIP_ZEROS_COST), 2 * STRIPE_BYTES)
    for compressed in (zlib.compress(data, 6), zstandard.compress(data, 3)):
        assert len(data) / len(compressed) == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("ratio", [0.5, 1100.0])
def test_an_impossible_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(CraftError, match=r"cannot be reached; choose 1 to 1032"):
        mix_for_ratio(ratio, LETTERS_COST, GZIP_ZEROS_COST)


def test_letters_are_packed_bit_by_bit() -> None:
    codes = np.random.default_rng(1).integers(0, 63, 128, dtype=np.uint8)
    bits = np.unpackbits(codes.reshape(-1, 1), axis=1, bitorder="little")[:, :LETTER_BITS]
    assert (pack_letters(codes) == np.packbits(bits.ravel(), bitorder="little")).all()


def test_a_ring_keeps_its_last_arrays() -> None:
    ring = Ring()
    taken = []
    for number in range(3 * Ring.BLOCKS):
        array = ring.take(100)
        array[:] = number
        taken.append(array)
        for age, older in enumerate(reversed(taken[-Ring.BLOCKS :])):
            assert (older == number - age).all()
    assert ring.take(1000).size == 1000
