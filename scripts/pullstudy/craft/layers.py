"""Layers of exact size: which files they hold, and the stream of their bytes.

A layer is a tar of files named `crafted/<stamp>/<number>`; the stamp names the layer, so that no
two layers are the same even when their content is (zeros). Sizes are computed, not tried: the
formats have closed forms, and what whole tar blocks leave over is taken up by padding that the
compressed format allows.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pullstudy.craft import tar_blocks
from pullstudy.craft.content import (
    ALL_RANDOM,
    STRIPE_BYTES,
    UNIT_BYTES,
    Bytes,
    Kind,
    Mix,
    Piece,
    Ring,
    Rings,
    generate_pieces,
    literal,
    split_file,
)
from pullstudy.errors import CraftError

# Part of every recipe: raise it when the bytes of a layer change.
RECIPE_VERSION = 1


class LayerTooSmall(CraftError):
    """The target leaves no room for the files of the layer."""


class LayerTooLarge(CraftError):
    """The format cannot hold so much."""


@dataclass(frozen=True)
class Entry:
    """One file of a layer: either given bytes or content generated from a key."""

    path: str
    size_bytes: int
    key: str = ""
    data: bytes = b""
    mode: int = 0o644

    def pieces(self, mix: Mix, ring: Ring) -> Iterator[Piece]:
        """Yield the content."""
        if self.key:
            return generate_pieces(mix, self.size_bytes, self.key, ring)
        return iter([literal(self.data)] if self.data else [])


def given_file(path: str, data: bytes, mode: int) -> Entry:
    """Make an entry of given bytes."""
    return Entry(path, len(data), data=data, mode=mode)


@dataclass(frozen=True)
class Sizes:
    """Bytes of a layer before and after compression."""

    compressed_bytes: int
    uncompressed_bytes: int


# What a format yields: a block of the tar, and the bytes that it becomes.
Blocks = Iterator[tuple[Bytes, Bytes]]


class LayerFormat(Protocol):
    """How the files of a layer become a blob."""

    @property
    def media_type(self) -> str:
        """Media type of the blob."""

    @property
    def identity(self) -> str:
        """All that the bytes depend on beyond the files: kept in recipes."""

    @property
    def padding_bytes(self) -> range:
        """Lengths by which a blob can be made longer; empty when it cannot."""

    @property
    def is_exact(self) -> bool:
        """Whether both sizes are known before the layer is made."""

    def reserve_bytes(self, target_bytes: int) -> int:
        """What a compressed size has to leave to be met exactly."""

    def sizes(self, entries: tuple[Entry, ...], mix: Mix) -> Sizes:
        """Compute, or else estimate, the sizes without padding."""

    def blocks(self, layer: Layer, annotations: dict[str, str], rings: Rings) -> Blocks:
        """Generate the layer in `rings`; annotations of its descriptor are known at the end."""


@dataclass(frozen=True)
class LayerOrder:
    """What is asked of a layer.

    stamp: names the layer and seeds its content. fixed: files of given bytes.
    target_bytes: compressed or uncompressed, as `is_compressed` says.
    """

    format: LayerFormat
    mix: Mix
    stamp: str
    file_count: int
    target_bytes: int
    is_compressed: bool
    fixed: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer to be made; the sizes are what it will have, to the byte.

    units: blocks of content, spread evenly over the files. Entries are made on demand: a study may
    have millions. Where the format is not exact, the size that was not asked for is an estimate.
    """

    order: LayerOrder
    units: int
    padding_bytes: int
    compressed_bytes: int
    uncompressed_bytes: int

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All files, those of given bytes first."""
        return _place_files(self.order, self.units)

    @property
    def content_bytes(self) -> int:
        """Bytes of the generated files."""
        return self.units * UNIT_BYTES

    @functools.cached_property
    def recipe(self) -> str:
        """Name the layer by all that its bytes depend on."""
        order = self.order
        row = (
            *(RECIPE_VERSION, order.format.identity, order.mix, order.stamp, order.file_count),
            *(self.units, self.padding_bytes),
            *((entry.path, entry.mode, entry.data) for entry in order.fixed),
        )
        return hashlib.sha256(repr(row).encode()).hexdigest()


def solve_layer(order: LayerOrder) -> Layer:
    """Choose file sizes and padding so that the layer has its target size.

    The result is exact where the format can be padded, else less than 512 bytes short.
    Raises LayerTooSmall when the target leaves no room for one block per file.
    """
    # Layers that differ in their stamp alone have the same sizes.
    alike = replace(order, stamp="-" * len(order.stamp))
    return replace(_solve(alike), order=order)


def least_bytes(order: LayerOrder) -> int:
    """Count the bytes of the smallest layer with this order's files, whatever its target."""
    files = _measure(order, order.file_count)
    least = files
    # What is kept in reserve may grow with the target.
    while (needed := files + _reserve(replace(order, target_bytes=least))) > least:
        least = needed
    return least


@functools.lru_cache(maxsize=4096)
def _solve(order: LayerOrder) -> Layer:
    reserve, least = _reserve(order), least_bytes(order)
    if order.target_bytes < least:
        raise LayerTooSmall(
            f"a layer of {order.target_bytes:,} bytes is too small for its files: "
            f"they need {least:,} bytes"
        )
    units = _largest_within(
        functools.partial(_measure, order), order.target_bytes - reserve, order.file_count
    )
    sizes = order.format.sizes(_place_files(order, units), order.mix)
    if not order.format.is_exact and order.is_compressed:
        estimate = order.target_bytes * sizes.uncompressed_bytes // sizes.compressed_bytes
        return Layer(order, units, 0, order.target_bytes, estimate)
    padding = order.target_bytes - sizes.compressed_bytes if reserve else 0
    if padding and padding not in order.format.padding_bytes:
        raise CraftError(f"layer of {order.target_bytes} bytes: cannot be padded by {padding}")
    return Layer(order, units, padding, sizes.compressed_bytes + padding, sizes.uncompressed_bytes)


def _reserve(order: LayerOrder) -> int:
    return order.format.reserve_bytes(order.target_bytes) if order.is_compressed else 0


def _measure(order: LayerOrder, units: int) -> int:
    sizes = order.format.sizes(_place_files(order, units), order.mix)
    return sizes.compressed_bytes if order.is_compressed else sizes.uncompressed_bytes


def _place_files(order: LayerOrder, units: int) -> tuple[Entry, ...]:
    """Spread the units evenly over the files."""
    each, more = divmod(units, order.file_count)
    crafted = (
        Entry(
            f"crafted/{order.stamp}/{number:05d}",
            (each + (number < more)) * UNIT_BYTES,
            key=f"{order.stamp}/{number}",
        )
        for number in range(order.file_count)
    )
    return (*order.fixed, *crafted)


def _largest_within(measure: Callable[[int], int], target: int, least: int) -> int:
    """Find a number of units that measures at most one unit below the target.

    `least` units must measure no more than the target.
    `measure` grows almost linearly, so interpolation needs few steps.
    """
    low, low_bytes = least, measure(least)
    stride = STRIPE_BYTES // UNIT_BYTES
    slope = (measure(least + stride) - low_bytes) / stride
    high: int | None = None
    while target - low_bytes >= UNIT_BYTES and (high is None or high - low > 1):
        guess = low + max(1, int((target - low_bytes) / slope))
        if high is not None and guess >= high:
            guess = (low + high) // 2
        guess_bytes = measure(guess)
        if guess_bytes > target:
            high = guess
        else:
            low, low_bytes = guess, guess_bytes
    return low


class Framing(Protocol):
    """Codes pieces; one object per stream."""

    padding_bytes: range
    envelope_bytes: int

    def __init__(self, ring: Ring) -> None:
        """ring: where coded pieces may be put."""

    @staticmethod
    def piece_bytes(kind: Kind, size_bytes: int) -> int:
        """Count the coded bytes of a piece."""

    def begin(self, padding_bytes: int = 0) -> bytes:
        """Return what stands before all pieces."""

    def encode(self, piece: Piece, plain: Bytes) -> Bytes:
        """Code a piece."""

    def end(self) -> bytes:
        """Return what stands behind all pieces."""


class PlainFraming:
    """No compression."""

    padding_bytes = range(0)
    envelope_bytes = 0

    def __init__(self, ring: Ring) -> None:
        del ring

    @staticmethod
    def piece_bytes(kind: Kind, size_bytes: int) -> int:
        """Count the bytes of a piece."""
        del kind
        return size_bytes

    def begin(self, padding_bytes: int = 0) -> bytes:
        """Return nothing: a plain tar has no header."""
        del padding_bytes
        return b""

    def encode(self, piece: Piece, plain: Bytes) -> Bytes:
        """Return the bytes themselves."""
        del piece
        return plain

    def end(self) -> bytes:
        """Return nothing."""
        return b""


@functools.lru_cache(maxsize=4096)
def content_bytes(framing: type[Framing], mix: Mix, size_bytes: int) -> int:
    """Count the coded bytes of a file's content."""
    whole, last = split_file(mix, size_bytes)
    stripe = sum(framing.piece_bytes(*part) for part in mix.split(STRIPE_BYTES)) if whole else 0
    return whole * stripe + sum(framing.piece_bytes(*part) for part in last)


@dataclass(frozen=True)
class TarFormat:
    """A tar in one compressed stream."""

    name: str
    media_type: str
    framing: type[Framing]
    is_exact = True

    @property
    def identity(self) -> str:
        """The name: the framing is part of the recipe's version."""
        return self.name

    @property
    def padding_bytes(self) -> range:
        """The framing's padding."""
        return self.framing.padding_bytes

    def reserve_bytes(self, target_bytes: int) -> int:
        """The least padding, which is always there."""
        del target_bytes
        return self.padding_bytes.start if len(self.padding_bytes) else 0

    def sizes(self, entries: tuple[Entry, ...], mix: Mix) -> Sizes:
        """Compute the sizes without padding."""
        end = len(tar_blocks.END_OF_ARCHIVE)
        uncompressed = end
        compressed = self.framing.envelope_bytes + self._raw_bytes(end)
        for entry in entries:
            header = tar_blocks.header_bytes(entry.size_bytes)
            padding = tar_blocks.padding_bytes(entry.size_bytes)
            uncompressed += header + entry.size_bytes + padding
            content = content_bytes(
                self.framing, mix if entry.key else ALL_RANDOM, entry.size_bytes
            )
            compressed += self._raw_bytes(header) + content + self._raw_bytes(padding)
        return Sizes(compressed, uncompressed)

    def _raw_bytes(self, size_bytes: int) -> int:
        return self.framing.piece_bytes(Kind.RAW, size_bytes)

    def blocks(self, layer: Layer, annotations: dict[str, str], rings: Rings) -> Blocks:
        """Generate the layer; a plain descriptor has no annotations."""
        del annotations
        framing = self.framing(rings.coded)
        nothing = np.empty(0, np.uint8)
        yield nothing, _as_bytes(framing.begin(layer.padding_bytes))
        for piece in _tar_pieces(layer, rings.plain):
            plain = piece.plain()
            yield plain, framing.encode(piece, plain)
        yield nothing, _as_bytes(framing.end())


def _tar_pieces(layer: Layer, ring: Ring) -> Iterator[Piece]:
    for entry in layer.entries:
        yield literal(tar_blocks.file_header(entry.path, entry.size_bytes, entry.mode))
        yield from entry.pieces(layer.order.mix, ring)
        padding = tar_blocks.padding_bytes(entry.size_bytes)
        if padding:
            yield literal(bytes(padding))
    yield literal(tar_blocks.END_OF_ARCHIVE)


def _as_bytes(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)
