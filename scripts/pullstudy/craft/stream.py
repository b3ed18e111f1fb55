"""One pass over a layer: generate, compress and hash at the same time.

SHA-256 is the slowest step and runs twice, over the tar and over the blob: each hash has a thread
of its own (hashlib lets go of the interpreter lock), while the caller's thread generates blocks
and writes or sends them. It outruns the hashes, and begins the next layer while they catch up.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

from pullstudy.craft.content import Bytes, Ring, Rings
from pullstudy.craft.layers import Layer

# Blocks are hashed in batches of one, or of many that are small; this many batches may be queued
# or in work. No batch lies in more than one array of a ring: those that are too small for a batch
# are not the ring's. The generator keeps one more, which it fills, and one that a reader has.
_BATCHES_IN_FLIGHT = Ring.BLOCKS - 2


class Stopped(Exception):
    """Another layer of the image has failed: this one is not needed any more."""


@dataclass(frozen=True)
class Blob:
    """A finished layer, or one of a base image, whose uncompressed size is not known (0)."""

    media_type: str
    digest: str
    size_bytes: int
    diff_id: str
    uncompressed_bytes: int
    annotations: dict[str, str] = field(default_factory=dict)


class Watch:
    """Sees every block of the layers that are being made; can stop them all.

    report: told how many bytes of blobs have been generated since the last time.
    """

    def __init__(self, report: Callable[[int], None] = lambda _: None) -> None:
        self._report = report
        self._is_stopped = threading.Event()

    def stop(self) -> None:
        """Let every layer end with Stopped at its next block."""
        self._is_stopped.set()

    def see(self, size_bytes: int) -> None:
        """Count a block. Raises Stopped."""
        if self._is_stopped.is_set():
            raise Stopped
        self._report(size_bytes)


class LayerStream:
    """The bytes of a layer, block by block; each iteration generates them anew.

    `blob` and `digest` can be asked for when an iteration has come to its end.
    """

    def __init__(self, layer: Layer, watch: Watch) -> None:
        self.layer = layer
        self._watch = watch
        self._finish: Callable[[], Blob] | None = None

    def __iter__(self) -> Iterator[memoryview]:
        with contextlib.closing(self._generate()) as blocks:
            for _, framed in blocks:
                if framed.size:
                    yield framed.data

    def plain_blocks(self) -> Generator[memoryview]:
        """Yield the tar instead of the blob."""
        with contextlib.closing(self._generate()) as blocks:
            for plain, _ in blocks:
                if plain.size:
                    yield plain.data

    @functools.cached_property
    def blob(self) -> Blob:
        """The finished layer; waits for its last hashes."""
        if self._finish is None:
            raise ValueError("the layer has not been generated to its end")
        return self._finish()

    @property
    def digest(self) -> str:
        """`sha256:…` of the blob."""
        return self.blob.digest

    def _generate(self) -> Generator[tuple[Bytes, Bytes]]:
        annotations: dict[str, str] = {}
        layer_format = self.layer.order.format
        with _borrow_bench() as bench:
            tar, blob = _Hash(bench.tar_line), _Hash(bench.blob_line)
            for plain, framed in layer_format.blocks(self.layer, annotations, bench.rings):
                self._watch.see(framed.size)
                tar.update(plain)
                blob.update(framed)
                yield plain, framed
            tar.end()
            blob.end()
        self._finish = lambda: Blob(
            layer_format.media_type,
            blob.digest(),
            blob.size_bytes,
            tar.digest(),
            tar.size_bytes,
            annotations,
        )


def measure_layer(layer: Layer) -> Layer:
    """Generate a layer for its sizes alone, where they could only be estimated."""
    if layer.order.format.is_exact:
        return layer
    stream = LayerStream(layer, Watch())
    for _ in stream:
        pass
    return replace(
        layer,
        compressed_bytes=stream.blob.size_bytes,
        uncompressed_bytes=stream.blob.uncompressed_bytes,
    )


class _Line:
    """A thread that hashes batches of blocks, those of one layer after those of another.

    A thread and a queue by hand: at a thousand blocks a second an executor costs a tenth more.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # A queue of nothings counts faster than a semaphore.
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_BATCHES_IN_FLIGHT):
            self._room.put(None)
        threading.Thread(target=self._run, name="sha256", daemon=True).start()

    def put(self, job: _Job) -> None:
        """Queue a batch; waits when there are too many."""
        self._room.get()
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            job.run()
            self._room.put(None)


class _Hash:
    """SHA-256 of a stream, in a line's thread; one that is short is not worth a thread."""

    def __init__(self, line: _Line) -> None:
        self.size_bytes = 0
        self._line = line
        self._hash = hashlib.sha256()
        self._batch: list[memoryview] = []
        self._batch_bytes = 0
        self._is_in_line = False
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    def update(self, block: Bytes) -> None:
        """Add a block; waits when too many are queued."""
        if block.size:
            self.size_bytes += block.size
            self._batch.append(block.data)
            self._batch_bytes += block.size
            if self._batch_bytes >= Ring.LEAST_BYTES:
                self._line.put(_Job(self._hash, self._batch))
                self._is_in_line = True
                self._batch, self._batch_bytes = [], 0

    def end(self) -> None:
        """Add what is left; nothing may be added behind it."""
        job = _Job(self._hash, self._batch, self._ended)
        if self._is_in_line:
            self._line.put(job)
        else:
            job.run()

    def digest(self) -> str:
        """Wait for all blocks and return `sha256:…`; can be asked for once."""
        self._ended.get()
        return f"sha256:{self._hash.hexdigest()}"


@dataclass(frozen=True)
class _Job:
    """Some blocks of a stream; `ended` is told when they were the last ones."""

    sha256: hashlib._Hash
    blocks: list[memoryview]
    ended: queue.SimpleQueue[None] | None = None

    def run(self) -> None:
        """Hash the blocks."""
        for block in self.blocks:
            self.sha256.update(block)
        if self.ended:
            self.ended.put(None)


@dataclass
class _Bench:
    """What layers are made with, one after the other: memory, and a line for each of two hashes.

    The lines still read the memory when the next layer begins; it waits for them by itself.
    """

    rings: Rings = field(default_factory=Rings)
    tar_line: _Line = field(default_factory=_Line)
    blob_line: _Line = field(default_factory=_Line)


# A new bench for each layer cost a tenth of the time of 125 layers.
_free_benches: list[_Bench] = []


@contextlib.contextmanager
def _borrow_bench() -> Iterator[_Bench]:
    try:
        bench = _free_benches.pop()
    except IndexError:
        bench = _Bench()
    try:
        yield bench
    finally:
        _free_benches.append(bench)
