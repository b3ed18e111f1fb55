"""Layer-digest Jaccard similarity of all pairs of images, by products of sparse matrices.

The similarity of two images is the number of digests they share over the number of digests that
at least one of them has: a fraction of small integers. All pairs together have few distinct
fractions, so counting these gives the exact distribution, and every statistic from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from pullstudy.errors import EmptyCorpus
from pullstudy.tables import TableWriter, write_table

# Products of this many entries take some 300 MB while they are looked at.
BLOCK_ENTRIES = 5_000_000


@dataclass(frozen=True)
class DigestSets:
    """Sets of layer digests: row i of the 0/1 matrix (n, digests) belongs to owners[i].

    owners ascend; copies[i] says for how many owners the row stands, owners[i] being the first.
    """

    owners: np.ndarray
    matrix: sp.csr_array
    copies: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Digests per set, (n,) int64."""
        return np.diff(self.matrix.indptr).astype(np.int64)


@dataclass(frozen=True)
class JaccardCounts:
    """Pairs by similarity: shared[i] / united[i] belongs to pairs[i] pairs; `disjoint` share none.

    Pairs are unordered and of different owners, who may have equal sets.
    """

    shared: np.ndarray
    united: np.ndarray
    pairs: np.ndarray
    disjoint: int


@dataclass(frozen=True)
class JaccardStatistics:
    """Mean, standard deviation and median over the pairs of different owners.

    sd has ddof 1 and is null for a single pair. `published_*`: over the full matrix, ddof 0.
    """

    published_mean: float
    published_sd: float
    mean: float
    sd: float | None
    median: float


def read_digest_sets(path: Path, owner: str) -> DigestSets:
    """Read the digest sets per value of column `owner` from a table with a column `digest`.

    Raises EmptyCorpus when the table has no row.
    """
    table = pq.read_table(path, columns=[owner, "digest"])
    if not table.num_rows:
        raise EmptyCorpus(f"{path}: there is no layer in it")
    column = table[owner]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return make_digest_sets(column, table["digest"])


def make_digest_sets(owners: pa.ChunkedArray, digests: pa.ChunkedArray) -> DigestSets:
    """Make digest sets from one row per layer; a digest that an owner has twice counts once."""
    owner_codes, owner_values = _encode(owners)
    digest_codes, digest_values = _encode(digests)
    order = np.argsort(owner_values.to_numpy(zero_copy_only=False), kind="stable")
    rows = np.argsort(order, kind="stable")[owner_codes]
    shape = (len(owner_values), len(digest_values))
    ones = np.ones(len(rows), np.int32)
    matrix = sp.coo_array((ones, (rows, digest_codes)), shape=shape).tocsr()
    matrix.sort_indices()
    matrix.data[:] = 1
    names = owner_values.to_numpy(zero_copy_only=False)[order]
    return DigestSets(names, matrix, np.ones(shape[0], np.int64))


def group_equal_sets(sets: DigestSets) -> DigestSets:
    """Keep one row per distinct set: that of its first owner, with the number of its owners."""
    first: dict[bytes, int] = {}
    groups = np.empty(len(sets.owners), np.int64)
    bounds = sets.matrix.indptr
    for row in range(len(groups)):
        key = sets.matrix.indices[bounds[row] : bounds[row + 1]].tobytes()
        groups[row] = first.setdefault(key, row)
    rows, inverse = np.unique(groups, return_inverse=True)
    copies = np.bincount(inverse, sets.copies, minlength=len(rows)).astype(np.int64)
    return DigestSets(sets.owners[rows], sets.matrix[rows], copies)


def jaccard_matrix(sets: DigestSets) -> np.ndarray:
    """Return the full matrix (n, n) float64 with its diagonal of ones: for some thousand sets."""
    shared = (sets.matrix @ sets.matrix.T).toarray().astype(np.float64)
    united = sets.sizes[:, None] + sets.sizes[None, :] - shared
    return shared / united


def count_jaccard(sets: DigestSets) -> JaccardCounts:
    """Count the pairs of owners by their similarity, exactly.

    Memory is bounded by BLOCK_ENTRIES, not by the number of pairs. Raises EmptyCorpus if there
    are fewer than 2 owners.
    """
    owners = int(sets.copies.sum())
    if owners < 2:
        raise EmptyCorpus(f"{owners} images have layers: a pair needs 2")
    sizes = sets.sizes
    base = 2 * int(sizes.max()) + 1
    ordered = np.zeros(base * (int(sizes.max()) + 1), np.int64)
    for rows, columns, shared in _product_blocks(sets.matrix):
        united = sizes[rows] + sizes[columns] - shared
        weights = sets.copies[rows] * sets.copies[columns]
        # Owners of one set make pairs too, but not with themselves.
        weights -= np.where(rows == columns, sets.copies[rows], 0)
        keys = shared * base + united
        # Exact: float64 holds the sums below 2**53.
        ordered += np.bincount(keys, weights, minlength=len(ordered)).astype(np.int64)
    keys = np.flatnonzero(ordered)
    pairs = ordered[keys] // 2
    disjoint = owners * (owners - 1) // 2 - int(pairs.sum())
    return JaccardCounts(keys // base, keys % base, pairs, disjoint)


def summarise_jaccard(counts: JaccardCounts, owners: int) -> JaccardStatistics:
    """Compute the statistics over all pairs, and the paper's over the full matrix."""
    values = np.append(counts.shared / counts.united, 0.0)
    pairs = np.append(counts.pairs, counts.disjoint)
    order = np.argsort(values, kind="stable")
    values, pairs = values[order], pairs[order]
    mean, deviation = _weighted_moments(values, pairs)
    full_mean, full_sd = _weighted_moments(np.append(values, 1.0), np.append(2 * pairs, owners))
    total = int(pairs.sum())
    sd = deviation * math.sqrt(total / (total - 1)) if total > 1 else None
    ends = np.cumsum(pairs)
    middle = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
    return JaccardStatistics(full_mean, full_sd, mean, sd, float(values[middle].mean()))


def find_neighbours(sets: DigestSets, count: int) -> Iterator[dict[str, Any]]:
    """Find the `count` most similar other sets of each set, as columns of `image_neighbours`.

    sets: distinct, see `group_equal_sets`. Sets that share nothing are no neighbours; equals are
    ordered by owner. Yields a batch per block of rows.
    """
    sizes = sets.sizes
    for rows, columns, shared in _product_blocks(sets.matrix):
        other = rows != columns
        rows, columns, shared = rows[other], columns[other], shared[other]
        similarity = shared / (sizes[rows] + sizes[columns] - shared)
        nearest, ranks = _pick_highest(rows, similarity, count)
        yield {
            "image_id": sets.owners[rows[nearest]],
            "rank": ranks,
            "neighbour_id": sets.owners[columns[nearest]],
            "shared_digests": shared[nearest],
            "jaccard": similarity[nearest],
        }


def write_jaccard_summary(collections: Sequence[tuple[str, DigestSets]], path: Path) -> None:
    """Write the statistics of each collection that has a pair as table `jaccard_summary`.

    Raises EmptyCorpus when none has.
    """
    rows = [_summary_row(name, sets) for name, sets in collections if sets.copies.sum() > 1]
    if not rows:
        names = ", ".join(name for name, _ in collections)
        raise EmptyCorpus(f"{names}: fewer than 2 images have layers: a pair needs 2")
    write_table("jaccard_summary", path, {key: [row[key] for row in rows] for key in rows[0]})


def write_jaccard_distribution(collection: str, sets: DigestSets, path: Path) -> None:
    """Write all distinct similarities of a collection as table `jaccard_distribution`."""
    counts = count_jaccard(group_equal_sets(sets))
    write_table(
        "jaccard_distribution",
        path,
        {
            "collection": [collection] * (len(counts.pairs) + 1),
            "shared_digests": [0, *counts.shared],
            "united_digests": [None, *counts.united],
            "pairs": [counts.disjoint, *counts.pairs],
        },
    )


def write_neighbours(sets: DigestSets, count: int, sets_path: Path, neighbours_path: Path) -> None:
    """Write tables `image_sets` and `image_neighbours`; the owners must be image ids."""
    distinct = group_equal_sets(sets)
    write_table(
        "image_sets",
        sets_path,
        {"image_id": distinct.owners, "copies": distinct.copies, "digests": distinct.sizes},
    )
    with TableWriter("image_neighbours", neighbours_path) as writer:
        for batch in find_neighbours(distinct, count):
            writer.write(batch)


def _summary_row(name: str, sets: DigestSets) -> dict[str, Any]:
    distinct = group_equal_sets(sets)
    owners = int(sets.copies.sum())
    counts = count_jaccard(distinct)
    statistics = summarise_jaccard(counts, owners)
    return {
        "collection": name,
        "sets": owners,
        "distinct_sets": len(distinct.owners),
        "digests": sets.matrix.shape[1],
        "mean_as_published": statistics.published_mean,
        "sd_as_published": statistics.published_sd,
        "mean": statistics.mean,
        "sd": statistics.sd,
        "median": statistics.median,
        "pairs_sharing": int(counts.pairs.sum()),
    }


def _encode(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def _product_blocks(matrix: sp.csr_array) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows, columns and values of matrix @ matrix.T, some rows at a time, in order."""
    transposed = matrix.T.tocsr()
    # What a row of the product costs, and an upper bound of its entries.
    work = np.add.reduceat(np.diff(transposed.indptr)[matrix.indices], matrix.indptr[:-1])
    ends = np.cumsum(work, dtype=np.int64)
    start = 0
    while start < matrix.shape[0]:
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + BLOCK_ENTRIES, side="right")))
        block = (matrix[start:stop] @ transposed).tocsr()
        block.sort_indices()
        rows = np.repeat(np.arange(start, stop), np.diff(block.indptr))
        yield rows, block.indices.astype(np.int64), block.data.astype(np.int64)
        start = stop


def _pick_highest(
    rows: np.ndarray, values: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the `count` highest values of each row, best first, and ranks."""
    bounds = np.append(np.flatnonzero(np.diff(rows, prepend=-1)), len(rows))
    picked = [
        start + np.argsort(-values[start:end], kind="stable")[:count]
        for start, end in pairwise(bounds)
    ]
    ranks = [np.arange(1, len(part) + 1) for part in picked]
    empty = [np.empty(0, np.int64)]
    return np.concatenate(picked or empty), np.concatenate(ranks or empty)


def _weighted_moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    mean = float(np.average(values, weights=weights))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
