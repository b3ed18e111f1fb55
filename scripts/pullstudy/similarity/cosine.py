"""Exact histogram of the cosine similarities of all pairs, in memory that N does not square.

Blocks of the matrix product are counted as soon as they are computed. The product is float32; its
rounding error is bounded, and the few pairs that lie within the bound of an edge are computed
again in float64. So the counts are those of float64 arithmetic, whatever the block size, the
threads, the shards and the machine's matrix library.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from threadpoolctl import threadpool_limits

from pullstudy.errors import ConfigError, EmptyCorpus, PullstudyError

# A block of the product and what is made of it take 5 MB a thread: measured to be the fastest.
BLOCK_ROWS = 768
# What is made of a block is made strip by strip, in the nearest cache.
STRIP_ROWS = 192
FLOAT32_ROUNDING = 2.0**-24
# Bins are found on a grid of cells that fits in 16 bits; two codes stand beside those of the bins.
CELL_CODES = 1 << 16
SPARE_CODES = 2
RECHECK_ROWS = 2048
PUBLISHED_EDGES = np.arange(-5, 11) / 10


class UnusableVectors(PullstudyError):
    """A vector has no direction, so it has no cosine."""


@dataclass(frozen=True)
class PairCounts:
    """Pairs per bin, and pairs exactly on each bin's upper edge (held by the next bin)."""

    bins: np.ndarray
    on_edge: np.ndarray

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(self.bins + other.bins, self.on_edge + other.on_edge)


def make_edges(bins: int) -> np.ndarray:
    """Return the (bins + 1,) edges of equal bins over [-1, 1], each the float nearest to it."""
    return (2 * np.arange(bins + 1) - bins) / bins


def group_identical(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each distinct row of vectors (n, d) stands first, and how often it stands there.

    Both int64. The most frequent come first, equals in the order of their first appearance.
    """
    vectors = np.ascontiguousarray(vectors)
    keys = vectors.view(np.dtype((np.void, vectors.dtype.itemsize * vectors.shape[1]))).ravel()
    _, first, copies = np.unique(keys, return_index=True, return_counts=True)
    order = np.lexsort((first, -copies))
    return first[order], copies[order]


def cosine_histogram(
    vectors: np.ndarray,
    edges: np.ndarray,
    *,
    copies: np.ndarray | None = None,
    shard: int = 0,
    shards: int = 1,
    threads: int = 1,
) -> np.ndarray:
    """Count the cosine similarities of all distinct row pairs per bin.

    vectors: (n, d) float32, no zero rows. edges: (k + 1,) equally spaced from -1 to 1.
    copies: (n,) how many documents a row stands for; their pairs among themselves have cosine 1.
    Returns (k,) int64; the last bin is closed. The sum over all shards does not depend on their
    number. Raises EmptyCorpus if there are fewer than 2 documents, UnusableVectors for a row
    that is zero or not finite, ConfigError for other edges or shards.
    """
    return count_pairs(
        vectors, edges, copies=copies, shard=shard, shards=shards, threads=threads
    ).bins


def count_pairs(
    vectors: np.ndarray,
    edges: np.ndarray,
    *,
    copies: np.ndarray | None = None,
    shard: int = 0,
    shards: int = 1,
    threads: int = 1,
) -> PairCounts:
    """Do the same as `cosine_histogram`, and count the pairs on the edges too."""
    if not 0 <= shard < shards:
        raise ConfigError(f"shard {shard} of {shards}: shards are numbered from 0")
    copies = np.ones(len(vectors), np.int64) if copies is None else np.asarray(copies, np.int64)
    if copies.sum() < 2:
        raise EmptyCorpus(f"{copies.sum()} documents have a vector: a pair needs 2")
    binning = _Binning(vectors, np.asarray(edges, np.float64), copies)
    blocks = list(islice(_block_pairs(len(vectors)), shard, None, shards))
    # One block per thread at a time, each with a product of one thread: nobody waits for others.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        parts = pool.map(binning.count_blocks, (blocks[k::threads] for k in range(threads)))
        total = sum(parts, start=binning.zero)
    if shard == 0:
        total.bins[-1] += (copies * (copies - 1) // 2).sum()
    return total


def publish_histogram(counts: PairCounts, documents: int) -> np.ndarray:
    """Turn the counts of 20 bins into the paper's 15: half of the full matrix with its diagonal.

    Its bins begin at -0.5 and hold both of their edges. Returns (15,) float64, in halves.
    """
    if len(counts.bins) != 20:
        raise ConfigError(f"the paper's bins are 0.1 wide: give 20 bins, not {len(counts.bins)}")
    published = (counts.bins + counts.on_edge)[-(len(PUBLISHED_EDGES) - 1) :].astype(np.float64)
    published[-1] += documents / 2
    return published


def _block_pairs(rows: int) -> Iterator[tuple[int, int]]:
    starts = range(0, rows, BLOCK_ROWS)
    return ((i, j) for i in starts for j in starts if i <= j)


class _Binning:
    """What all blocks need: unit vectors, and the grid of cells that tells the bins apart.

    A cosine c falls into cell floor((c + 1) * half + open_cells / 2): each bin has `width` cells,
    and its first `open_cells` hold all cosines that the float32 product may have moved across the
    bin's lower edge.
    """

    def __init__(self, vectors: np.ndarray, edges: np.ndarray, copies: np.ndarray) -> None:
        self.vectors, self.edges, self.copies = vectors, edges, copies
        self.bins = len(edges) - 1
        if self.bins < 1 or not np.allclose(edges, make_edges(self.bins), rtol=0, atol=1e-12):
            raise ConfigError("the edges of the bins must be equally spaced from -1 to 1")
        self.shift = (CELL_CODES // (self.bins + SPARE_CODES)).bit_length() - 1
        self.width = 1 << max(self.shift, 0)
        self.half = self.bins * self.width / 2
        self.open_cells = self._bound_error(vectors.shape[1])
        if self.open_cells >= self.width or self.bins + SPARE_CODES > 256:
            raise ConfigError(f"{self.bins} bins are too fine for a float32 product; use fewer")
        self.norms, self.units = _normalise(vectors)

    @property
    def zero(self) -> PairCounts:
        return PairCounts(np.zeros(self.bins, np.int64), np.zeros(self.bins, np.int64))

    def count_blocks(self, blocks: list[tuple[int, int]]) -> PairCounts:
        counter = _BlockCounter(self)
        for first, second in blocks:
            counter.count(first, second)
        return counter.totals

    def _bound_error(self, dimensions: int) -> int:
        """Return how many cells the error of a product can span, to both sides together."""
        # A sum of d products errs by at most d roundings, in any order (Higham 2002, section 3.1);
        # the unit vectors, the scaling and the conversion add a few more.
        cosine_error = (dimensions + 8) * FLOAT32_ROUNDING
        return int(np.ceil(2 * (self.half * cosine_error + 2 * CELL_CODES * FLOAT32_ROUNDING)))


class _BlockCounter:
    """The buffers and totals of one thread."""

    def __init__(self, binning: _Binning) -> None:
        self.binning = binning
        self.totals = binning.zero
        self.product = np.empty(BLOCK_ROWS * BLOCK_ROWS, np.float32)
        strip = STRIP_ROWS * BLOCK_ROWS
        self.cells = np.empty(strip, np.uint16)
        self.remainders = np.empty(strip, np.uint16)
        self.is_open = np.empty(strip, np.bool_)
        self.codes = np.empty(strip, np.uint8)

    def count(self, first: int, second: int) -> None:
        """Count the pairs of the block whose rows begin at `first` and columns at `second`."""
        product = self._multiply(first, second)
        open_pairs, open_codes = [], []
        for top in range(0, len(product), STRIP_ROWS):
            cells = self._find_cells(product[top : top + STRIP_ROWS])
            if first == second:
                # Each pair once, nobody with itself: a code that no bin has.
                is_twice = np.tri(len(cells), cells.shape[1], top, dtype=bool)
                cells[is_twice] = (self.binning.bins + 1) * self.binning.width
            found = self._find_open(cells)
            open_pairs.append(found + top * product.shape[1])
            open_codes.append(cells.ravel()[found] >> self.binning.shift)
            self._add_cells(cells, first + top, second)
        pairs, codes = np.concatenate(open_pairs), np.concatenate(open_codes)
        # At -1 and 1 nothing is open: the code above 1 belongs to the last bin.
        inner = (codes > 0) & (codes < self.binning.bins)
        left, right = np.divmod(pairs[inner], product.shape[1])
        self._settle_open(left + first, right + second, codes[inner])

    def _multiply(self, first: int, second: int) -> np.ndarray:
        left = self.binning.units[first : first + BLOCK_ROWS] * np.float32(self.binning.half)
        right = self.binning.units[second : second + BLOCK_ROWS].T
        shape = (left.shape[0], right.shape[1])
        return np.matmul(left, right, out=self.product[: shape[0] * shape[1]].reshape(shape))

    def _find_cells(self, strip: np.ndarray) -> np.ndarray:
        strip += np.float32(self.binning.half + self.binning.open_cells / 2)
        cells = self.cells[: strip.size].reshape(strip.shape)
        np.copyto(cells, strip, casting="unsafe")
        return cells

    def _find_open(self, cells: np.ndarray) -> np.ndarray:
        remainders = self.remainders[: cells.size]
        np.bitwise_and(cells.ravel(), np.uint16(self.binning.width - 1), out=remainders)
        limit = np.uint16(self.binning.open_cells)
        return np.flatnonzero(np.less(remainders, limit, out=self.is_open[: cells.size]))

    def _add_cells(self, cells: np.ndarray, first: int, second: int) -> None:
        np.right_shift(cells, self.binning.shift, out=cells)
        codes = self.codes[: cells.size]
        np.copyto(codes, cells.ravel(), casting="unsafe")
        row_copies = self.binning.copies[first : first + cells.shape[0]]
        column_copies = self.binning.copies[second : second + cells.shape[1]]
        if _is_constant(row_copies) and _is_constant(column_copies):
            counts = _count_codes(codes) * (row_copies[0] * column_copies[0])
        else:
            weights = np.outer(row_copies, column_copies).ravel().astype(np.float64)
            counts = np.bincount(codes, weights, minlength=256).astype(np.int64)
        self.totals.bins[:] += counts[: self.binning.bins]
        self.totals.bins[-1] += counts[self.binning.bins]

    def _settle_open(self, left: np.ndarray, right: np.ndarray, codes: np.ndarray) -> None:
        """Move open pairs of rows from the bin that float32 gave to the one that float64 gives."""
        binning, bins = self.binning, self.binning.bins
        for start in range(0, len(codes), RECHECK_ROWS):
            part = slice(start, start + RECHECK_ROWS)
            weights = (binning.copies[left[part]] * binning.copies[right[part]]).astype(np.float64)
            cosines = self._compute_cosines(left[part], right[part])
            true = np.searchsorted(binning.edges[1:-1], cosines, side="right")
            self.totals.bins[:] += _sum_int(true, weights, bins)
            self.totals.bins[:] -= _sum_int(codes[part], weights, bins)
            on_edge = (true > 0) & (cosines == binning.edges[true])
            self.totals.on_edge[:] += _sum_int(true[on_edge] - 1, weights[on_edge], bins)

    def _compute_cosines(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        vectors, norms = self.binning.vectors, self.binning.norms
        products = np.einsum(
            "ij,ij->i", vectors[left].astype(np.float64), vectors[right].astype(np.float64)
        )
        return products / (norms[left] * norms[right])


def _normalise(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the norms as float64 and the unit vectors, rounded once to float32."""
    norms = np.empty(len(vectors), np.float64)
    units = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        exact = vectors[part].astype(np.float64)
        norms[part] = np.sqrt(np.einsum("ij,ij->i", exact, exact))
        unusable = np.flatnonzero(~(np.isfinite(norms[part]) & (norms[part] > 0)))
        if len(unusable):
            row = start + unusable[0]
            raise UnusableVectors(f"row {row} is zero or not finite: leave such rows out")
        np.divide(exact, norms[part, None], out=units[part], casting="same_kind")
    return norms, units


def _is_constant(copies: np.ndarray) -> bool:
    return bool(copies[0] == copies.min() == copies.max())


def _count_codes(codes: np.ndarray) -> np.ndarray:
    """Count the values of uint8 codes, two at a time: half as many steps for `bincount`."""
    even = codes[: len(codes) // 2 * 2]
    found = np.bincount(even.view(np.uint16))
    rows = -(-len(found) // 256)
    pairs = np.pad(found, (0, rows * 256 - len(found))).reshape(rows, 256)
    counts = pairs.sum(axis=0)
    counts[:rows] += pairs.sum(axis=1)
    if len(codes) % 2:
        counts[codes[-1]] += 1
    return counts


def _sum_int(codes: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    # Exact: the sums stay far below 2**53.
    return np.bincount(codes, weights, minlength=bins).astype(np.int64)
