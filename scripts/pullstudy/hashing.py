"""SHA-256 beside other work: each stream of bytes is hashed by a thread of its own.

hashlib lets go of the interpreter's lock, so that hashing, the slowest step of making and of
unpacking a layer, takes a processor of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable


class ThreadedSha256:
    """The SHA-256 of blocks, hashed by a thread until the `with` block ends.

    blocks_in_flight: how many may wait for the thread while it hashes one more; until then a block
    must keep what it holds. A thread and queues by hand: at a thousand blocks a second an executor,
    and also a semaphore, cost a tenth more.
    """

    def __init__(self, blocks_in_flight: int) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._blocks: queue.SimpleQueue[memoryview | bytes | None] = queue.SimpleQueue()
        self._blocks_in_flight = blocks_in_flight
        # As many entries as there is room for blocks.
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._make_room(blocks_in_flight)
        self._is_over = threading.Event()

    def __enter__(self) -> ThreadedSha256:
        self._worker = _take_worker()
        self._worker.put(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.put(None)
        self._is_over.wait()
        _idle_workers.append(self._worker)

    def update(self, block: memoryview | bytes) -> None:
        """Add a block of bytes; waits when too many are queued."""
        if len(block):
            self.size_bytes += len(block)
            self._room.get()
            self._blocks.put(block)

    def digest(self) -> str:
        """Wait for all blocks and return `sha256:…`."""
        for _ in range(self._blocks_in_flight):
            self._room.get()
        self._make_room(self._blocks_in_flight)
        return f"sha256:{self._hash.hexdigest()}"

    def _make_room(self, blocks: int) -> None:
        for _ in range(blocks):
            self._room.put(None)

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._hash.update(block)
            self._make_room(1)
        self._is_over.set()


_Worker = queue.SimpleQueue[Callable[[], None]]
# Threads outlive their stream: new ones for each cost a tenth of the time of 125 layers.
_idle_workers: list[_Worker] = []


def _take_worker() -> _Worker:
    """Return a thread's queue of jobs; the thread is a new one where none is idle."""
    with contextlib.suppress(IndexError):
        return _idle_workers.pop()
    worker: _Worker = queue.SimpleQueue()
    threading.Thread(target=_work, args=(worker,), name="sha256", daemon=True).start()
    return worker


def _work(jobs: _Worker) -> None:
    while True:
        jobs.get()()
