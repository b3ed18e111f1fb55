"""Our own coders against every decoder that is at hand."""

import gzip
import shutil
import subprocess
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip

from pullstudy.craft.content import STRIPE_BYTES, Mix, Ring, generate_pieces, literal
from pullstudy.craft.gzip_framing import GzipFraming
from pullstudy.craft.layers import Framing, PlainFraming
from pullstudy.craft.zstd_framing import ZstdFraming

Decode = Callable[[bytes], bytes]


def decode_zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(data)


def decode_with(*command: str) -> Decode:
    def decode(data: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    return decode


GZIP_DECODERS: list[Decode] = [
    gzip.decompress,
    igzip.decompress,
    lambda data: zlib.decompress(data, wbits=31),
]


def code(framing: type[Framing], mix: Mix, size_bytes: int, padding: int) -> tuple[bytes, bytes]:
    """Return content and its coded form, and check every size that is announced."""
    coder = framing(Ring())
    plain, coded = b"", coder.begin(padding)
    announced = framing.envelope_bytes + padding
    for piece in generate_pieces(mix, size_bytes, "key", Ring()):
        block = piece.plain()
        framed = coder.encode(piece, block)
        assert framed.size == framing.piece_bytes(piece.kind, piece.size_bytes)
        announced += framed.size
        plain, coded = plain + block.tobytes(), coded + framed.tobytes()
    coded += coder.end()
    assert len(coded) == announced
    return plain, coded


MIXES = st.builds(
    lambda letters, zeros: Mix(letters=letters * (1 - zeros), zeros=zeros),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
)
SIZES = st.one_of(
    st.integers(0, 5000),
    st.integers(0, 3 * STRIPE_BYTES),
    st.sampled_from([65_535, 65_536, 131_070, 131_072, STRIPE_BYTES, STRIPE_BYTES + 1]),
)


@settings(max_examples=60, deadline=None)
@given(mix=MIXES, size=SIZES, padding=st.sampled_from([0, 6, 7, 517, 60_005]))
def test_gzip_is_read_by_every_library(mix: Mix, size: int, padding: int) -> None:
    plain, coded = code(GzipFraming, mix, size, padding)
    for decode in GZIP_DECODERS:
        assert decode(coded) == plain


@settings(max_examples=60, deadline=None)
@given(mix=MIXES, size=SIZES, padding=st.sampled_from([0, 8, 9, 517, 60_005]))
def test_zstd_is_read_by_the_library(mix: Mix, size: int, padding: int) -> None:
    plain, coded = code(ZstdFraming, mix, size, padding)
    assert decode_zstd(coded) == plain


@pytest.mark.parametrize("mix", [Mix(0.0, 0.0), Mix(0.5, 0.3), Mix(0.0, 1.0)])
@pytest.mark.parametrize(
    ("framing", "command"),
    [
        (GzipFraming, ("gzip", "-dc")),
        (GzipFraming, ("pigz", "-dc")),
        (GzipFraming, ("busybox", "gunzip", "-c")),
        (ZstdFraming, ("zstd", "-dc")),
    ],
)
def test_other_programs_read_it(framing: type[Framing], command: tuple[str, ...], mix: Mix) -> None:
    plain, coded = code(framing, mix, STRIPE_BYTES + 4321, 600)
    assert decode_with(*command)(coded) == plain


@pytest.mark.parametrize("framing", [GzipFraming, ZstdFraming])
def test_zeros_shrink_a_thousandfold_and_letters_by_a_quarter(framing: type[Framing]) -> None:
    zeros, coded_zeros = code(framing, Mix(0.0, 1.0), 4 * STRIPE_BYTES, 0)
    assert len(zeros) / len(coded_zeros) > 990
    letters, coded_letters = code(framing, Mix(1.0, 0.0), 4 * STRIPE_BYTES, 0)
    assert len(coded_letters) / len(letters) == pytest.approx(0.75, abs=0.002)


def test_plain_is_left_alone() -> None:
    plain, coded = code(PlainFraming, Mix(0.5, 0.3), STRIPE_BYTES + 99, 0)
    assert coded == plain


def test_a_literal_is_coded_as_it_is() -> None:
    coder = GzipFraming(Ring())
    piece = literal(b"tar header")
    coded = coder.begin() + coder.encode(piece, piece.plain()).tobytes() + coder.end()
    assert gzip.decompress(coded) == b"tar header"
