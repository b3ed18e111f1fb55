"""Unpacking in pieces: the same bytes as at once, bounded pieces, every fault told."""

from __future__ import annotations

import gzip
import random
import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.bases.faults import LayerFault
from pullstudy.bases.unpack import Unpacker
from tests.unit.bases.conftest import patient

MIB = 1 << 20
SKIPPABLE = struct.pack("<II", 0x184D2A5A, 5) + b"12345"


def unpack(data: bytes, cuts: list[int] | None = None) -> bytes:
    unpacker = Unpacker()
    output = bytearray()
    ends = [*sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    start = 0
    for end in ends:
        for piece in unpacker.feed(data[start:end]):
            output += piece
        start = end
    unpacker.finish()
    return bytes(output)


def pack_zstd(content: bytes, *, write_checksum: bool = False) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=write_checksum).compress(content)


texts = st.lists(st.binary(max_size=3_000), min_size=1, max_size=4)
cuts = st.lists(st.integers(min_value=0), max_size=8)


@patient
@given(texts, cuts)
def test_gzip_of_several_members(contents: list[bytes], cuts: list[int]) -> None:
    packed = b"".join(gzip.compress(content) for content in contents)
    assert unpack(packed, cuts) == b"".join(contents)
    assert unpack(packed + bytes(700), cuts) == b"".join(contents)


@patient
@given(texts, cuts)
def test_zstd_of_several_frames(contents: list[bytes], cuts: list[int]) -> None:
    packed = b"".join(SKIPPABLE + pack_zstd(content) for content in contents) + SKIPPABLE
    assert unpack(packed, cuts) == b"".join(contents)


@patient
@given(st.binary(min_size=4, max_size=2_000), cuts)
def test_what_is_not_packed_stays_as_it_is(content: bytes, cuts: list[int]) -> None:
    assert unpack(b"plain" + content, cuts) == b"plain" + content


def test_nothing_is_nothing() -> None:
    assert unpack(b"") == b""


@pytest.mark.parametrize("pack", [gzip.compress, pack_zstd])
def test_every_end_that_comes_too_early_is_told(pack: object) -> None:
    assert callable(pack)
    packed = pack(random.Random(1).randbytes(300))
    assert unpack(packed)
    for end in range(1, len(packed)):
        with pytest.raises(LayerFault, match=r"ends"):
            unpack(packed[:end])


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"content")[:-6] + b"\xff" + gzip.compress(b"content")[-5:],
        gzip.compress(b"content") + b"more" * 9,
        pack_zstd(b"content") + b"more",
        pack_zstd(b"content" * 99, write_checksum=True)[:-1] + b"\0",
        b"\x28\xb5\x2f\xfd" + b"\xff" * 40,
        b"\x1f\x8b" + b"\xff" * 40,
    ],
    ids=["crc", "gzip-tail", "zstd-tail", "zstd-checksum", "no-zstd", "no-gzip"],
)
def test_damage_is_told(packed: bytes) -> None:
    with pytest.raises(LayerFault, match=r"is no sound (gzip|zstd) stream"):
        unpack(packed)


def test_a_zstd_frame_may_not_want_gigabytes_of_window() -> None:
    # Window descriptor 0xA8: 2**31 bytes; no content size, one empty last raw block.
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\xa8" + b"\x01\x00\x00"
    with pytest.raises(LayerFault, match="zstd"):
        unpack(frame)


@pytest.mark.parametrize(("pack", "piece_bytes_max"), [(gzip.compress, MIB), (pack_zstd, 32 * MIB)])
def test_a_bomb_comes_in_bounded_pieces(pack: object, piece_bytes_max: int) -> None:
    assert callable(pack)
    packed = pack(bytes(200 * MIB))
    assert len(packed) < MIB
    unpacker = Unpacker()
    sizes = [len(piece) for piece in unpacker.feed(packed)]
    unpacker.finish()
    assert sum(sizes) == 200 * MIB
    assert max(sizes) <= piece_bytes_max
