"""Jaccard similarities against plain sets, SciPy and the published numbers."""

from __future__ import annotations

import csv
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jaccard as scipy_jaccard

from pullstudy.archive.members import read_members
from pullstudy.errors import EmptyCorpus
from pullstudy.similarity import jaccard
from pullstudy.similarity.jaccard import (
    DigestSets,
    count_jaccard,
    find_neighbours,
    group_equal_sets,
    jaccard_matrix,
    make_digest_sets,
    read_digest_sets,
    summarise_jaccard,
    write_jaccard_distribution,
    write_jaccard_summary,
    write_neighbours,
)
from pullstudy.tables import TABLES, write_table

Sets = dict[int, set[str]]

# Few digests, so that sets are equal, overlap and differ.
digest_sets = st.dictionaries(
    st.integers(0, 60),
    st.sets(st.sampled_from("abcdef"), min_size=1),
    min_size=2,
    max_size=25,
)


def make(sets: Sets) -> DigestSets:
    rows = [(owner, digest) for owner, digests in sets.items() for digest in sorted(digests)]
    owners, digests = zip(*rows, strict=True)
    return make_digest_sets(pa.chunked_array([owners]), pa.chunked_array([digests]))


def similarity(first: set[str], second: set[str]) -> Fraction:
    return Fraction(len(first & second), len(first | second))


@settings(max_examples=150, deadline=None)
@given(sets=digest_sets, block=st.integers(1, 50))
def test_all_pairs_are_counted_at_their_fraction(sets: Sets, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaccard, "BLOCK_ENTRIES", block)
        found = make(sets)
        counts = count_jaccard(found)
        grouped = count_jaccard(group_equal_sets(found))
    pairs = list(combinations(sets.values(), 2))
    expected = Counter((len(a & b), len(a | b)) for a, b in pairs if a & b)
    for result in (counts, grouped):
        triples = zip(result.shared, result.united, result.pairs, strict=True)
        assert {(s, u): n for s, u, n in triples} == expected
        assert result.disjoint == len(pairs) - expected.total()


@settings(max_examples=100, deadline=None)
@given(sets=digest_sets)
def test_statistics_are_those_of_the_matrix(sets: Sets) -> None:
    found = make(sets)
    matrix = jaccard_matrix(found)
    owners = sorted(sets)
    assert found.owners.tolist() == owners
    dense = found.matrix.toarray().astype(bool)
    for i, j in combinations(range(len(owners)), 2):
        assert matrix[i, j] == matrix[j, i] == float(similarity(sets[owners[i]], sets[owners[j]]))
        assert matrix[i, j] == pytest.approx(1 - scipy_jaccard(dense[i], dense[j]))
    upper = matrix[np.triu_indices(len(owners), 1)]
    statistics = summarise_jaccard(count_jaccard(group_equal_sets(found)), len(owners))
    assert statistics.published_mean == pytest.approx(matrix.mean(), abs=1e-14)
    assert statistics.published_sd == pytest.approx(matrix.std(), abs=1e-9)
    assert statistics.mean == pytest.approx(upper.mean(), abs=1e-14)
    assert statistics.median == pytest.approx(np.median(upper), abs=1e-14)
    if len(upper) > 1:
        assert statistics.sd == pytest.approx(upper.std(ddof=1), abs=1e-9)
    else:
        assert statistics.sd is None


@settings(max_examples=100, deadline=None)
@given(sets=digest_sets, count=st.integers(1, 4), block=st.integers(1, 50))
def test_neighbours_are_the_most_similar_other_sets(sets: Sets, count: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaccard, "BLOCK_ENTRIES", block)
        distinct = group_equal_sets(make(sets))
        batches = list(find_neighbours(distinct, count))
    first = {frozenset(sets[owner]): owner for owner in sorted(sets, reverse=True)}
    assert distinct.owners.tolist() == sorted(first.values())
    copies = Counter(frozenset(digests) for digests in sets.values())
    assert distinct.copies.tolist() == [copies[frozenset(sets[o])] for o in distinct.owners]
    expected = []
    for owner in sorted(first.values()):
        others = [o for o in first.values() if o != owner and sets[o] & sets[owner]]
        others.sort(key=lambda other: (-similarity(sets[owner], sets[other]), other))
        for rank, other in enumerate(others[:count], 1):
            shared = len(sets[owner] & sets[other])
            value = float(similarity(sets[owner], sets[other]))
            expected.append((owner, rank, other, shared, value))
    names = ("image_id", "rank", "neighbour_id", "shared_digests", "jaccard")
    found = [row for batch in batches for row in zip(*(batch[n] for n in names), strict=True)]
    assert found == expected


def test_a_digest_named_twice_counts_once() -> None:
    sets = make_digest_sets(pa.chunked_array([[1, 1, 2]]), pa.chunked_array([["a", "a", "a"]]))
    assert jaccard_matrix(sets).tolist() == [[1, 1], [1, 1]]


def test_a_single_image_makes_no_pair(tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpus):
        count_jaccard(make({1: {"a"}}))
    empty: dict[str, list[object]] = {column.name: [] for column in TABLES["layers"].columns}
    write_table("layers", tmp_path / "layers.parquet", empty)
    with pytest.raises(EmptyCorpus, match="no layer"):
        read_digest_sets(tmp_path / "layers.parquet", "image_id")


def test_tables_of_a_small_registry(tmp_path: Path) -> None:
    layers = [(4, "a"), (4, "b"), (7, "a"), (7, "b"), (7, "b"), (9, "b"), (12, "z")]
    images, digests = zip(*layers, strict=True)
    path = tmp_path / "layers.parquet"
    write_table(
        "layers",
        path,
        {
            "image_id": images,
            "layer_number": [0] * len(layers),
            "digest": digests,
            "size_bytes": [1] * len(layers),
            "media_type": [""] * len(layers),
        },
    )
    sets = read_digest_sets(path, "image_id")
    write_jaccard_distribution("images", sets, tmp_path / "distribution.parquet")
    write_neighbours(sets, 5, tmp_path / "sets.parquet", tmp_path / "neighbours.parquet")
    write_jaccard_summary([("images", sets)], tmp_path / "summary.parquet")
    rows = [
        tuple(row.values()) for row in pq.read_table(tmp_path / "distribution.parquet").to_pylist()
    ]
    assert rows == [("images", 0, None, 3), ("images", 1, 2, 2), ("images", 2, 2, 1)]
    assert [tuple(r.values()) for r in pq.read_table(tmp_path / "sets.parquet").to_pylist()] == [
        (4, 2, 2),
        (9, 1, 1),
        (12, 1, 1),
    ]
    neighbours = pq.read_table(tmp_path / "neighbours.parquet").to_pylist()
    assert [tuple(row.values()) for row in neighbours] == [(4, 1, 9, 1, 0.5), (9, 1, 4, 1, 0.5)]
    [summary] = pq.read_table(tmp_path / "summary.parquet").to_pylist()
    assert (summary["sets"], summary["distinct_sets"], summary["digests"]) == (4, 3, 3)
    assert (summary["mean"], summary["median"], summary["pairs_sharing"]) == (2 / 6, 0.25, 3)


@pytest.mark.integration
def test_the_published_similarity_of_repositories(published_archive: Path, tmp_path: Path) -> None:
    path = "dockerfile/data/dockerfile/full_uri_subset.csv"
    [(_, content)] = read_members(published_archive, [path])
    rows = list(csv.DictReader(content.decode().splitlines()))
    columns = {"name": "uri", "tag": "tag", "digest": "digest"}
    numbers = {"layer_number": "layer_number", "size_bytes": "size"}
    write_table(
        "subset",
        tmp_path / "subset.parquet",
        {name: [row[key] for row in rows] for name, key in columns.items()}
        | {name: [int(row[key]) for row in rows] for name, key in numbers.items()},
    )
    sets = read_digest_sets(tmp_path / "subset.parquet", "name")
    write_jaccard_summary([("repositories", sets)], tmp_path / "summary.parquet")
    [summary] = pq.read_table(tmp_path / "summary.parquet").to_pylist()
    assert summary["sets"] == 1525
    assert round(summary["mean_as_published"], 16) == 0.0025946056374047
    assert round(summary["sd_as_published"], 13) == 0.0394800505865
    upper = jaccard_matrix(sets)[np.triu_indices(1525, 1)]
    assert summary["mean"] == pytest.approx(upper.mean(), rel=1e-12)
    assert summary["sd"] == pytest.approx(upper.std(ddof=1), rel=1e-9)
