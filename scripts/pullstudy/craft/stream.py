"""One pass over a layer: generate, compress and hash at the same time.

SHA-256 is the slowest step and runs twice, over the tar and over the blob: each hash has a thread
of its own, while the caller's thread generates blocks and writes or sends them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

from pullstudy.craft.content import Bytes, Ring, borrow_rings
from pullstudy.craft.layers import Layer
from pullstudy.hashing import ThreadedSha256

# Blocks are about a MiB; this many may wait for their hash, one more is being hashed: fewer than
# the generator keeps.
_BLOCKS_IN_FLIGHT = Ring.BLOCKS - 3


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

    `blob` and `digest` are there when an iteration has come to its end.
    """

    def __init__(self, layer: Layer, watch: Watch) -> None:
        self.layer = layer
        self._watch = watch
        self._blob: Blob | None = None

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

    @property
    def blob(self) -> Blob:
        """The finished layer."""
        if self._blob is None:
            raise ValueError("the layer has not been generated to its end")
        return self._blob

    @property
    def digest(self) -> str:
        """`sha256:…` of the blob."""
        return self.blob.digest

    def _generate(self) -> Generator[tuple[Bytes, Bytes]]:
        annotations: dict[str, str] = {}
        layer_format = self.layer.order.format
        # The hashers end first: until then they read the rings.
        with borrow_rings() as rings, _hash() as tar, _hash() as blob:
            for plain, framed in layer_format.blocks(self.layer, annotations, rings):
                self._watch.see(framed.size)
                tar.update(plain.data)
                blob.update(framed.data)
                yield plain, framed
            self._blob = Blob(
                layer_format.media_type,
                blob.digest(),
                blob.size_bytes,
                tar.digest(),
                tar.size_bytes,
                annotations,
            )


def _hash() -> ThreadedSha256:
    return ThreadedSha256(_BLOCKS_IN_FLIGHT)


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
