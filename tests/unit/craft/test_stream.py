import threading
from dataclasses import replace

import numpy as np
import pytest

from pullstudy.craft.content import ALL_RANDOM
from pullstudy.craft.formats import choose_format
from pullstudy.craft.layers import Layer, LayerOrder, solve_layer
from pullstudy.craft.stream import LayerStream, Stopped, Watch, measure_layer
from pullstudy.craft.study import Size, Study
from tests.unit.craft.conftest import decompress, sha256


def layer_of(level: int | None = None, target: int = 9_000_000) -> Layer:
    study = Study((Size(1),), (1,), level=level)
    return solve_layer(LayerOrder(choose_format(study), ALL_RANDOM, "000-ab", 1, target, True))


def test_the_tar_can_be_had_instead_of_the_blob() -> None:
    stream = LayerStream(layer_of(), Watch())
    blob = b"".join(bytes(block) for block in stream)
    tar = b"".join(bytes(block) for block in stream.plain_blocks())
    assert decompress(blob) == tar
    assert (stream.digest, stream.blob.diff_id) == (sha256(blob), sha256(tar))


def test_a_slow_reader_gets_the_same_bytes() -> None:
    """Blocks lie in memory that is used again: none may change before it was hashed and read."""
    stream = LayerStream(layer_of(), Watch())
    kept = bytearray()
    for block in stream:
        kept += block
        np.frombuffer(block, np.uint8).sum()
        threading.Event().wait(0.002)
    assert sha256(bytes(kept)) == stream.digest


def test_it_stops_when_it_is_told() -> None:
    seen: list[int] = []
    watch = Watch(seen.append)
    stream = LayerStream(layer_of(), watch)
    blocks = iter(stream)
    read = len(next(blocks))
    assert sum(seen) == read
    watch.stop()
    with pytest.raises(Stopped):
        for _ in blocks:
            pass
    with pytest.raises(ValueError, match="not been generated to its end"):
        _ = stream.blob


def test_threads_are_used_again_even_when_nobody_reads_on() -> None:
    def read_a_block() -> int:
        blocks = iter(LayerStream(layer_of(), Watch()))
        next(blocks)
        running = threading.active_count()
        blocks.close()  # type: ignore[attr-defined]
        return running

    first = read_a_block()
    assert [read_a_block() for _ in range(20)] == [first] * 20


def test_small_blocks_come_joined() -> None:
    """A thousand files of a kilobyte are not three thousand wake-ups of two threads."""
    order = replace(layer_of().order, file_count=1000, target_bytes=2_000_000)
    stream = LayerStream(solve_layer(order), Watch())
    blocks = [bytes(block) for block in stream]
    assert len(blocks) < 2_000_000 / (64 << 10)
    assert sha256(b"".join(blocks)) == stream.digest
    assert sha256(b"".join(map(bytes, stream.plain_blocks()))) == stream.blob.diff_id


def test_estimated_sizes_are_measured_where_they_are_needed() -> None:
    exact = layer_of()
    assert measure_layer(exact) is exact
    estimated = layer_of(level=1, target=500_000)
    measured = measure_layer(estimated)
    assert measured.compressed_bytes == 500_000
    stream = LayerStream(measured, Watch())
    assert sum(len(block) for block in stream.plain_blocks()) == measured.uncompressed_bytes
