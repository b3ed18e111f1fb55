"""The cosine histogram against float64 brute force, whatever the shards, blocks and threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import cosine_similarity

from pullstudy.errors import ConfigError, EmptyCorpus
from pullstudy.similarity import cosine
from pullstudy.similarity.cosine import (
    UnusableVectors,
    cosine_histogram,
    count_pairs,
    group_identical,
    make_edges,
    publish_histogram,
)


def clustered(rows: int, dimensions: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((5, dimensions))
    noise = generator.standard_normal((rows, dimensions))
    return (centres[generator.integers(0, 5, rows)] + 0.7 * noise).astype(np.float32)


def brute_force(vectors: np.ndarray, edges: np.ndarray) -> np.ndarray:
    exact = cosine_similarity(vectors.astype(np.float64))
    pairs = np.clip(exact[np.triu_indices(len(vectors), 1)], -1, 1)
    return np.histogram(pairs, edges)[0]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine, "BLOCK_ROWS", 7)


vectors_of_integers = npst.arrays(
    np.float32,
    st.tuples(st.integers(2, 30), st.integers(1, 5)),
    elements=st.integers(-3, 3).map(float),
).filter(lambda rows: bool((rows != 0).any(axis=1).all()))


@settings(max_examples=150, deadline=None)
@given(vectors=vectors_of_integers, bins=st.integers(1, 40), shards=st.integers(1, 6))
def test_small_integers_with_ties_fall_where_float64_puts_them(
    vectors: np.ndarray, bins: int, shards: int
) -> None:
    edges = make_edges(bins)
    parts = [
        cosine_histogram(vectors, edges, shard=shard, shards=shards) for shard in range(shards)
    ]
    counts = np.sum(parts, axis=0)
    assert counts.sum() == len(vectors) * (len(vectors) - 1) // 2
    # Cosines exactly on an edge differ in their last bit by the order of the sum: both are right.
    exact = np.clip(1 - pdist(vectors.astype(np.float64), "cosine"), -1, 1)
    below = (exact[:, None] < edges - 1e-12).sum(axis=0)
    below_or_on = (exact[:, None] < edges + 1e-12).sum(axis=0)
    found = np.concatenate([[0], np.cumsum(counts)])
    assert (below[1:-1] <= found[1:-1]).all()
    assert (found[1:-1] <= below_or_on[1:-1]).all()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("rows", [2, 6, 7, 8, 14, 15, 50])
@pytest.mark.parametrize("bins", [1, 2, 20, 101])
def test_blocks_and_their_remainders_agree_with_scikit_learn(rows: int, bins: int) -> None:
    vectors = clustered(rows, 12, seed=rows)
    edges = make_edges(bins)
    assert (cosine_histogram(vectors, edges) == brute_force(vectors, edges)).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shards", [1, 2, 5, 40])
def test_shards_and_threads_change_nothing(threads: int, shards: int) -> None:
    vectors = clustered(2500, 30, seed=1)
    edges = make_edges(20)
    parts = [
        cosine_histogram(vectors, edges, shard=shard, shards=shards, threads=threads)
        for shard in range(shards)
    ]
    assert (np.sum(parts, axis=0) == brute_force(vectors, edges)).all()


def test_pairs_next_to_an_edge_are_settled_in_float64() -> None:
    # Angles whose cosines differ from an edge by less than float32 can tell.
    edges = make_edges(20)
    offsets = np.array([-3e-9, 3e-9, -2e-8, 2e-8])
    angles = np.arccos(edges[1:-1, None] + offsets).ravel()
    turned = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    for vector in turned:
        pair = np.stack([np.array([1, 0], np.float32), vector])
        exact = pair[1, 0].astype(np.float64) / np.linalg.norm(pair[1].astype(np.float64))
        assert (cosine_histogram(pair, edges) == np.histogram([exact], edges)[0]).all()


def test_lengths_do_not_matter_even_extreme_ones() -> None:
    vectors = clustered(60, 20, seed=3)
    lengths = np.geomspace(1e-15, 1e15, len(vectors)).astype(np.float32)[:, None]
    edges = make_edges(20)
    assert (cosine_histogram(vectors * lengths, edges) == brute_force(vectors, edges)).all()


def test_identical_and_opposite_vectors_lie_in_the_outer_bins() -> None:
    row = np.full((1, 300), 0.1, np.float32)
    counts = cosine_histogram(np.concatenate([row, row * 3, -row]), make_edges(20))
    assert (counts[0], counts[-1], counts.sum()) == (2, 1, 3)


@settings(max_examples=50, deadline=None)
@given(
    copies=st.lists(st.integers(1, 9), min_size=1, max_size=40).filter(lambda c: sum(c) > 1),
    seed=st.integers(0, 99),
)
def test_copies_count_like_repeated_rows(copies: list[int], seed: int) -> None:
    vectors = clustered(len(copies), 8, seed)
    edges = make_edges(20)
    weighted = cosine_histogram(vectors, edges, copies=np.array(copies))
    repeated = np.repeat(vectors, copies, axis=0)
    assert (weighted == cosine_histogram(repeated, edges)).all()
    first, found = group_identical(repeated)
    assert sorted(found) == sorted(copies)
    assert (cosine_histogram(repeated[first], edges, copies=found) == weighted).all()


def test_grouping_keeps_the_order_of_first_appearance_among_equals() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [5, 6]], np.float32)
    first, copies = group_identical(rows)
    assert (first.tolist(), copies.tolist()) == ([0, 1, 3], [2, 1, 1])


def test_the_published_form_is_half_of_the_full_matrix_with_both_edges() -> None:
    # Cosines of exactly 0 lie on an edge that two published bins hold.
    vectors = np.concatenate([clustered(40, 6, seed=5), np.eye(6, dtype=np.float32)])
    full = np.clip(cosine_similarity(vectors.astype(np.float64)), -1, 1)
    np.fill_diagonal(full, 1.0)
    expected = [((full >= k / 10) & (full <= (k + 1) / 10)).sum() / 2 for k in range(-5, 10)]
    published = publish_histogram(count_pairs(vectors, make_edges(20)), len(vectors))
    assert published.tolist() == expected
    assert published[4] + published[5] > ((full >= -0.1) & (full <= 0.1)).sum() / 2


def test_edges_are_the_floats_nearest_to_their_fractions() -> None:
    assert make_edges(20).tolist() == [k / 10 for k in range(-10, 11)]


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_documents_make_no_pair(rows: int) -> None:
    with pytest.raises(EmptyCorpus):
        cosine_histogram(np.ones((rows, 3), np.float32), make_edges(20))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_vectors_without_direction_are_named(value: float) -> None:
    vectors = np.ones((1000, 3), np.float32)
    vectors[900] = value
    with pytest.raises(UnusableVectors, match="row 900"):
        cosine_histogram(vectors, make_edges(20))


def test_unusable_requests_are_refused() -> None:
    vectors = clustered(5, 4, seed=0)
    with pytest.raises(ConfigError, match="equally spaced"):
        cosine_histogram(vectors, np.array([-1, 0.3, 1]))
    with pytest.raises(ConfigError, match="equally spaced"):
        cosine_histogram(vectors, np.linspace(-0.5, 1, 16))
    with pytest.raises(ConfigError, match="too fine"):
        cosine_histogram(vectors, make_edges(300))
    with pytest.raises(ConfigError, match="numbered"):
        cosine_histogram(vectors, make_edges(20), shard=2, shards=2)
    with pytest.raises(ConfigError, match="20 bins"):
        publish_histogram(count_pairs(vectors, make_edges(10)), 5)
