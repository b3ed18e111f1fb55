"""The cosine histogram of a corpus as files: shards that a cluster counts, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pullstudy.errors import EmptyCorpus
from pullstudy.similarity.cosine import (
    PUBLISHED_EDGES,
    PairCounts,
    count_pairs,
    group_identical,
    make_edges,
    publish_histogram,
)
from pullstudy.similarity.embeddings import read_vectors
from pullstudy.tables import write_table


def write_cosine_shard(
    vectors: Path,
    path: Path,
    *,
    bins: int = 20,
    centred: bool = False,
    shard: int = 0,
    shards: int = 1,
    threads: int = 1,
) -> None:
    """Count one shard of the pairs of table `document_vectors` as table `cosine_shards`.

    Documents with the same vector are counted together, which changes nothing but the time.
    `centred` takes the mean of all documents off each: means of word vectors have a large common
    part that makes any two alike (Mu and Viswanath, 2018).
    """
    _, rows = read_vectors(vectors)
    if centred:
        # A document that is the mean itself has no direction; in a corpus of copies all are.
        rounding = np.finfo(np.float32).eps * np.abs(rows).max()
        rows = (rows - rows.mean(axis=0, dtype=np.float64)).astype(np.float32)
        rows = rows[np.abs(rows).max(axis=1) > rounding]
    first, copies = group_identical(rows)
    rows = rows[first]
    counts = count_pairs(
        rows, make_edges(bins), copies=copies, shard=shard, shards=shards, threads=threads
    )
    write_table(
        "cosine_shards",
        path,
        {"bin": range(bins), "pairs": counts.bins, "pairs_on_edge": counts.on_edge},
    )


def gather_cosine_histogram(shards: Sequence[Path], vectors: Path, corpus: str, path: Path) -> None:
    """Add up all shards of a corpus as table `cosine_histogram`.

    With 20 bins the paper's definition stands beside the right one. vectors: table
    `document_vectors` that the shards were counted from. Raises EmptyCorpus if none was counted.
    """
    counts = sum((_read_shard(shard) for shard in shards[1:]), start=_read_shard(shards[0]))
    if not len(counts.bins):
        raise EmptyCorpus(f"{vectors}: no pair of documents was counted")
    edges = make_edges(len(counts.bins))
    parts = [("right", edges, counts.bins.astype(np.float64))]
    if len(counts.bins) == 20:
        documents = pq.read_metadata(vectors).num_rows
        parts.append(("as_published", PUBLISHED_EDGES, publish_histogram(counts, documents)))
    rows = [
        (corpus, name, low, high, pairs)
        for name, bounds, values in parts
        for low, high, pairs in zip(bounds[:-1], bounds[1:], values, strict=True)
    ]
    names = ("corpus", "definition", "bin_low", "bin_high", "pairs")
    write_table("cosine_histogram", path, dict(zip(names, zip(*rows, strict=True), strict=True)))


def summarise_vectors(documents: Path, vectors: Path, corpus: str, path: Path) -> None:
    """Write how many documents of a corpus have a vector, and how many differ: `corpus_vectors`."""
    copies = pq.read_table(documents, columns=["copies"])["copies"].to_numpy()
    total = len(copies)
    embedded = pq.read_metadata(vectors).num_rows
    try:
        distinct = len(group_identical(read_vectors(vectors)[1])[0])
    except EmptyCorpus:
        distinct = 0
    write_table(
        "corpus_vectors",
        path,
        {
            "corpus": [corpus],
            "texts": [int(copies.sum())],
            "documents": [total],
            "empty_documents": [total - embedded],
            "distinct_vectors": [distinct],
        },
    )


def _read_shard(path: Path) -> PairCounts:
    table = pq.read_table(path)
    return PairCounts(table["pairs"].to_numpy(), table["pairs_on_edge"].to_numpy())
