"""Build strategies: the published table, and orders against all permutations."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.archive.members import read_members
from pullstudy.archive.strategies import tabulate_container_sets
from pullstudy.errors import ConfigError, EmptyCorpus
from pullstudy.similarity.jaccard import count_jaccard, jaccard_matrix, write_jaccard_summary
from pullstudy.similarity.strategies import (
    CACHES,
    ContainerSet,
    digest_sets_of,
    find_orders,
    pulled_bytes,
    read_container_sets,
    write_build_strategies,
    write_pull_orders,
)
from pullstudy.tables import TABLES, write_table

SIZES = {"a": 100, "b": 70, "c": 33, "d": 8, "e": 1}
images_strategy = st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=5)


def container_set(images: list[set[str]]) -> ContainerSet:
    layers = [{digest: SIZES[digest] for digest in sorted(image)} for image in images]
    names = [(f"image{i}", "latest") for i in range(len(images))]
    return ContainerSet("made", names, layers, sum(map(len, images)))


def measure(images: ContainerSet, order: list[int], cache: str) -> int:
    """The documented measure, by walking through the order."""
    present: set[str] = set()
    total = waited = 0
    for image in order:
        if cache == "nothing":
            present.clear()
        total += sum(images.layers[image][d] for d in set(images.layers[image]) - present)
        waited += total
        if cache == "previous":
            present.clear()
        present |= set(images.layers[image])
    return total if cache == "previous" else waited


@settings(max_examples=60, deadline=None)
@given(images=images_strategy)
@pytest.mark.parametrize("cache", CACHES)
def test_orders_are_the_best_and_the_worst_of_all(images: list[set[str]], cache: str) -> None:
    made = container_set(images)
    every = [measure(made, list(order), cache) for order in permutations(range(len(images)))]
    best, worst = find_orders(made, cache)
    assert sorted(best) == sorted(worst) == list(range(len(images)))
    assert measure(made, best, cache) == min(every)
    assert measure(made, worst, cache) == max(every)


@given(images=images_strategy)
def test_what_an_order_can_and_cannot_change(images: list[set[str]]) -> None:
    made = container_set(images)
    distinct = sum(SIZES[d] for d in set().union(*images))
    alone = sum(SIZES[d] for image in images for d in image)
    for cache in CACHES:
        for order in find_orders(made, cache):
            total = sum(pulled_bytes(made, order, cache))
            assert distinct <= total <= alone
            if cache != "previous":
                assert total == (distinct if cache == "all" else alone)


def test_tables_of_a_small_set(tmp_path: Path) -> None:
    rows = [
        ("s", "r/x", "1", 0, "a", 10), ("s", "r/x", "1", 1, "e", 1), ("s", "r/x", "1", 2, "e", 1),
        ("s", "r/y", "1", 0, "a", 10), ("s", "r/y", "1", 1, "b", 5),
        ("t", "r/x", "2", 0, "a", 10),
    ]  # fmt: skip
    source = tmp_path / "sets.parquet"
    names = [column.name for column in TABLES["container_sets"].columns]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    write_table("container_sets", source, columns)
    sets = read_container_sets(source)
    write_build_strategies(sets, tmp_path / "strategies.parquet")
    write_pull_orders(sets, tmp_path / "orders.parquet")
    first, second = pq.read_table(tmp_path / "strategies.parquet").to_pylist()
    assert list(first.values()) == ["s", 5, 4, 2, 3, 26, 16, 3 / 5, 3 / 4, 16 / 26]
    assert list(second.values()) == ["t", 1, 1, 1, 1, 10, 10, 1, 1, 1]
    orders = pq.read_table(tmp_path / "orders.parquet").to_pylist()
    kept = [row for row in orders if row["set_name"] == "s" and row["cache"] == "all"]
    assert [(r["order"], r["name"], r["pulled_bytes"], r["cumulative_bytes"]) for r in kept] == [
        ("best", "r/x", 11, 11),
        ("best", "r/y", 5, 16),
        ("worst", "r/y", 15, 15),
        ("worst", "r/x", 1, 16),
    ]
    assert [row["position"] for row in kept] == [1, 2, 1, 2]


def test_what_cannot_be_ordered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="15 images"):
        find_orders(container_set([{"a"}] * 15), "all")
    with pytest.raises(ConfigError, match="choose one of"):
        find_orders(container_set([{"a"}]), "some")
    empty: dict[str, list[Any]] = {column.name: [] for column in TABLES["container_sets"].columns}
    write_table("container_sets", tmp_path / "sets.parquet", empty)
    with pytest.raises(EmptyCorpus):
        read_container_sets(tmp_path / "sets.parquet")
    with pytest.raises(EmptyCorpus):
        count_jaccard(digest_sets_of(container_set([{"a"}])))


# rows, images, digests, published mean and s.d., pairs' mean, s.d. and median, shares in %.
PUBLISHED = {
    "performance-study": (258, 10, 115, 0.4027, 0.3840, 0.336, 0.350, 0.022, 44.6, 48.7, 77.0),
    "containers": (120, 10, 33, 0.6590, 0.1276, 0.621, 0.062, None, 27.5, 31.4, 34.0),
    "spack": (56, 7, 50, 0.2000, 0.3266, 0.0667, 0.0, None, 89.3, 89.3, 92.6),
}


@pytest.mark.integration
def test_the_sets_of_the_published_archive(published_archive: Path, tmp_path: Path) -> None:
    tabulate_container_sets(published_archive, tmp_path)
    sets = read_container_sets(tmp_path / "container_sets.parquet")
    assert pq.read_table(tmp_path / "failures.parquet").num_rows == 0
    write_build_strategies(sets, tmp_path / "strategies.parquet")
    write_jaccard_summary([(s.name, digest_sets_of(s)) for s in sets], tmp_path / "jaccard.parquet")
    strategies = pq.read_table(tmp_path / "strategies.parquet").to_pylist()
    jaccards = pq.read_table(tmp_path / "jaccard.parquet").to_pylist()
    assert {row["set_name"] for row in strategies} == set(PUBLISHED)
    for row, similar in zip(strategies, jaccards, strict=True):
        published = PUBLISHED[row["set_name"]]
        assert (row["layer_rows"], row["images"], row["digests"]) == published[:3]
        found = (
            round(similar["mean_as_published"], 4),
            round(similar["sd_as_published"], 4),
            round(similar["mean"], len(str(published[5])) - 2),
            round(similar["sd"], 3),
        )
        assert found == published[3:7]
        if published[7] is not None:
            assert round(similar["median"], 3) == published[7]
        shares = (row["unique_share_as_published"], row["unique_share"], row["unique_bytes_share"])
        assert tuple(round(100 * share, 1) for share in shares) == published[8:]


@pytest.mark.integration
def test_the_matrices_of_the_published_archive(published_archive: Path, tmp_path: Path) -> None:
    tabulate_container_sets(published_archive, tmp_path)
    folder = "similarity/data/similarity"
    files = dict(read_members(published_archive, [folder]))
    for container in read_container_sets(tmp_path / "container_sets.parquet"):
        sets = digest_sets_of(container)
        matrix = jaccard_matrix(sets)
        content = files[f"{folder}/{container.name}/container-similarity-similarity.csv"]
        header, *lines = content.decode().splitlines()
        columns = header.split(",")[1:]
        places = [sets.owners.tolist().index(name) for name in columns]
        for line, place in zip(lines, places, strict=True):
            values = [float(value) for value in line.split(",")[1:]]
            assert values == matrix[place, places].tolist()
