"""Layers compressed by a library at a given level, as a build tool would have done it.

The sizes of such a layer are known only when it is made. A compressed size is met all the same: the
files are chosen a little too small, and what is missing then comes in one more file, in a stream of
our own framing behind the library's. The bytes, and with them the digests, depend on the version of
the library.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import zstandard

from pullstudy.craft import tar_blocks
from pullstudy.craft.content import Bytes, Mix, Piece, Ring, Rings, generate_pieces, literal
from pullstudy.craft.layers import (
    Blocks,
    Entry,
    Layer,
    LayerTooSmall,
    Sizes,
    TarFormat,
    solve_layer,
)
from pullstudy.errors import CraftError

_SAMPLE_BYTES = 4 << 20
# What is left for the last file: far more than the rate of the sample can be wrong by.
_RESERVE_SHARE = 0.02
_RESERVE_BYTES = 8192
_NOTHING: Bytes = np.empty(0, np.uint8)


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True)
class LibraryFormat:
    """A tar compressed by zlib or libzstd; `closing` is the format of its last part."""

    closing: TarFormat
    level: int
    is_exact = False

    @property
    def media_type(self) -> str:
        """Media type of the blob."""
        return self.closing.media_type

    @property
    def identity(self) -> str:
        """Format, level, and the library with its version."""
        return f"{self.closing.name} level {self.level}, {self._library()}"

    @property
    def padding_bytes(self) -> range:
        """The last part is padded, not the layer."""
        return range(0)

    def reserve_bytes(self, target_bytes: int) -> int:
        """How much of a compressed size is left for the last part."""
        return _RESERVE_BYTES + int(target_bytes * _RESERVE_SHARE)

    def sizes(self, entries: tuple[Entry, ...], mix: Mix) -> Sizes:
        """Compute the uncompressed size, and estimate the compressed one."""
        uncompressed = self.closing.sizes(entries, mix).uncompressed_bytes
        return Sizes(int(uncompressed * _measure_rate(self, mix)), uncompressed)

    def blocks(self, layer: Layer, annotations: dict[str, str], rings: Rings) -> Blocks:
        """Generate the layer. Raises CraftError when the estimate was too low."""
        order = layer.order
        compressor, size_bytes = self.open_compressor(), 0
        for piece in self._main_pieces(layer, rings.plain):
            plain = piece.plain()
            framed = np.frombuffer(compressor.compress(plain.data), np.uint8)
            size_bytes += framed.size
            yield plain, framed
        last = np.frombuffer(compressor.flush(), np.uint8)
        yield _NOTHING, last
        if order.is_compressed:
            missing = order.target_bytes - size_bytes - last.size
            rest = self._solve_rest(layer, missing)
            yield from self.closing.blocks(rest, annotations, rings)

    def open_compressor(self) -> _Compressor:
        """Start a stream of the library."""
        if self.closing.name == "zstd":
            return zstandard.ZstdCompressor(self.level).compressobj()
        return zlib.compressobj(self.level, wbits=31)

    def _main_pieces(self, layer: Layer, ring: Ring) -> Iterator[Piece]:
        for entry in layer.entries:
            yield literal(tar_blocks.file_header(entry.path, entry.size_bytes, entry.mode))
            yield from entry.pieces(layer.order.mix, ring)
            yield literal(bytes(tar_blocks.padding_bytes(entry.size_bytes)))
        if not layer.order.is_compressed:
            yield literal(tar_blocks.END_OF_ARCHIVE)

    def _solve_rest(self, layer: Layer, missing_bytes: int) -> Layer:
        order = replace(
            layer.order,
            format=self.closing,
            stamp=f"{layer.order.stamp}-rest",
            file_count=1,
            target_bytes=missing_bytes,
            fixed=(),
        )
        try:
            return solve_layer(order)
        except LayerTooSmall as exc:
            raise CraftError(
                f"a layer of {layer.order.target_bytes:,} bytes: {self.identity} compresses too "
                "little; leave out the level or choose another seed"
            ) from exc

    def _library(self) -> str:
        if self.closing.name == "zstd":
            return f"libzstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


@functools.lru_cache
def _measure_rate(layer_format: LibraryFormat, mix: Mix) -> float:
    """Compress some megabytes; returns compressed bytes per byte."""
    compressor = layer_format.open_compressor()
    pieces = generate_pieces(mix, _SAMPLE_BYTES, "sample", Ring())
    size = sum(len(compressor.compress(piece.plain().data)) for piece in pieces)
    return (size + len(compressor.flush())) / _SAMPLE_BYTES
