import hashlib
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pullstudy import hashing
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


class SlowHash:
    """SHA-256 on a busy machine: the generator gets as far ahead as it may."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, block: memoryview) -> None:
        time.sleep(0.003)
        self._hash.update(block)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@pytest.mark.parametrize("name", ["gzip", "zstd", "estargz"])
def test_a_slow_hash_sees_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large and small blocks in turn: no memory may be used again before it was hashed."""
    layer_format = choose_format(Study((Size(1),), (1,), compression=name))
    order = replace(layer_of().order, format=layer_format, file_count=20, target_bytes=24_000_000)
    monkeypatch.setattr(hashing, "hashlib", SimpleNamespace(sha256=SlowHash))
    slow = LayerStream(solve_layer(order), Watch())
    blob = b"".join(bytes(block) for block in slow)
    assert sha256(blob) == slow.digest
    assert sha256(decompress(blob)) == slow.blob.diff_id


def test_estimated_sizes_are_measured_where_they_are_needed() -> None:
    exact = layer_of()
    assert measure_layer(exact) is exact
    estimated = layer_of(level=1, target=500_000)
    measured = measure_layer(estimated)
    assert measured.compressed_bytes == 500_000
    tar = LayerStream(measured, Watch())
    assert sum(len(block) for block in tar.plain_blocks()) == measured.uncompressed_bytes
