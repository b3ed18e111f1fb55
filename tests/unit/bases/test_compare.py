"""Levels of reproducibility: what is changed shows on its level and the stricter ones only."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.archive.members import read_members
from pullstudy.archive.strategies import tabulate_container_sets
from pullstudy.bases.compare import LEVELS, ImageParts, compare_all, compare_sets, describe_image
from pullstudy.bases.paths import ReadSettings
from pullstudy.bases.run import RunSettings, read_images
from pullstudy.bases.tabulate import compare_container_sets
from tests.unit.bases.conftest import (
    MadeImage,
    layer_of,
    make_database,
    make_image,
    member,
    patient,
    symlink,
    write_layout,
)

DATABASE = make_database(a_1={"/bin/sh", "/a"}, b_1={"/b", "/app"})
LIBRARY = layer_of(("bin/sh", b"shell"), ("a", b""))
APP: list[Any] = [("app", b"program"), symlink("link", "app")]

Describe = Callable[..., list[ImageParts]]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Read images as the command does."""

    def run(*images: MadeImage) -> list[ImageParts]:
        write_layout(tmp_path, {str(number): image for number, image in enumerate(images)})
        names = [f"oci:{tmp_path}:{number}" for number in range(len(images))]
        settings = RunSettings(reading=ReadSettings(with_digests=True))
        results = read_images(names, settings, lambda files: describe_image(files, DATABASE))
        parts = list(results.values())
        assert all(isinstance(part, ImageParts) for part in parts), parts
        return parts  # type: ignore[return-value]

    return run


def with_time(members: list[Any], mtime: int) -> list[Any]:
    return [_with_time(each, mtime) for each in members]


def _with_time(each: Any, mtime: int) -> Any:
    """A header with another time; contents are not needed for it."""
    if isinstance(each, tuple):
        return member(each[0], mode=0o644, mtime=mtime)
    return member(each.name, each.type, each.linkname, mode=each.mode, mtime=mtime)


EMPTY: list[Any] = [("app", b""), ("other", b""), symlink("link", "app")]
BASE = make_image(LIBRARY, layer_of(*EMPTY))
CHANGES: dict[str, tuple[MadeImage, str]] = {
    "nothing": (BASE, "manifest"),
    "label": (make_image(LIBRARY, layer_of(*EMPTY), config={"Labels": {"a": "b"}}), "layers"),
    "command": (make_image(LIBRARY, layer_of(*EMPTY), history=[{"created_by": "x"}]), "unpacked"),
    "compression": (make_image(LIBRARY, layer_of(*EMPTY, how="zstd")), "config"),
    "time": (make_image(LIBRARY, layer_of(*with_time(EMPTY, 1_700_000_000))), "files"),
    "one layer": (
        make_image(layer_of(("bin/sh", b"shell"), ("a", b""), *EMPTY)),
        "files",
    ),
    "order of layers": (make_image(layer_of(*EMPTY), LIBRARY), "files"),
    "mode": (
        make_image(LIBRARY, layer_of(member("app", mode=0o755), *EMPTY[1:])),
        "contents",
    ),
    "owner": (
        make_image(LIBRARY, layer_of(member("app", mode=0o644, uid=1000), *EMPTY[1:])),
        "contents",
    ),
    "content": (make_image(LIBRARY, layer_of(("app", b"other"), *EMPTY[1:])), "paths"),
    "target": (make_image(LIBRARY, layer_of(*EMPTY[:2], symlink("link", "other"))), "paths"),
    "kind": (
        make_image(LIBRARY, layer_of(member("app", tarfile.FIFOTYPE, mode=0o644), *EMPTY[1:])),
        "paths",
    ),
    "path": (make_image(LIBRARY, layer_of(("more", b""), *EMPTY)), "base"),
    "everything": (make_image(layer_of(("b", b""))), ""),
}
# What is implied by what: `config` and `layers` do not imply each other. Nothing but the change of
# the command touches the commands.
FILES = {"files", "contents", "paths", "base"}
IMPLIED = {
    "manifest": set(LEVELS),
    "config": set(LEVELS) - {"manifest", "layers"},
    "layers": set(LEVELS) - {"manifest", "config"},
    "unpacked": {"layers", "unpacked_layers", *FILES},
    "files": {"commands", *FILES},
    "contents": {"commands", "contents", "paths", "base"},
    "paths": {"commands", "paths", "base"},
    "base": {"commands", "base"},
    "": {"commands"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows_where_it_belongs(describe: Describe, change: str) -> None:
    other, level = CHANGES[change]
    (comparison,) = compare_all(describe(BASE, other))
    assert [found.level for found in comparison.levels] == list(LEVELS)
    identical = {found.level for found in comparison.levels if found.is_identical}
    assert identical == IMPLIED[level]
    for found in comparison.levels:
        is_reordered = change == "order of layers" and "layers" in found.level
        assert (found.score == 1.0) == (found.is_identical or is_reordered)


def test_a_hard_link_is_like_a_copy(describe: Describe) -> None:
    hard = member("copy", tarfile.LNKTYPE, "app")
    images = [make_image(layer_of(("app", b"text"), last)) for last in (hard, ("copy", b"text"))]
    (comparison,) = compare_all(describe(*images))
    levels = {found.level: found.is_identical for found in comparison.levels}
    assert levels["contents"]
    assert not levels["unpacked_layers"]


def test_counts_and_scores_of_the_levels(describe: Describe) -> None:
    other = make_image(LIBRARY, layer_of(("app", b"changed"), ("more", b"")))
    (comparison,) = compare_all(describe(BASE, other))
    levels = {found.level: found for found in comparison.levels}
    paths, contents = levels["paths"], levels["contents"]
    assert (paths.shared, paths.in_a, paths.in_b) == (3, 5, 4)
    assert (paths.score, paths.jaccard) == (pytest.approx(6 / 9), pytest.approx(3 / 6))
    assert (contents.shared, contents.in_a, contents.in_b) == (2, 5, 4)
    assert (levels["layers"].shared, levels["layers"].in_b) == (1, 2)


def test_what_no_config_tells_is_no_level(describe: Describe) -> None:
    silent = make_image(LIBRARY, rootfs={"type": "layers", "diff_ids": []}, history=[{}])
    (comparison,) = compare_all(describe(silent, make_image(LIBRARY)))
    assert not {"unpacked_layers", "commands"} & {found.level for found in comparison.levels}


@patient
@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_scores_by_brute_force(a: set[object], b: set[object]) -> None:
    found = compare_sets("level", a, b)
    either = [x for x in range(10) if x in a or x in b]
    both = [x for x in range(10) if x in a and x in b]
    assert found.shared == len(both)
    assert found.is_identical == (sorted(map(str, a)) == sorted(map(str, b)))
    if either:
        assert found.jaccard == pytest.approx(len(both) / len(either))
        assert found.score == pytest.approx(2 * found.jaccard / (1 + found.jaccard))
    else:
        assert (found.jaccard, found.score) == (1.0, 1.0)


def test_all_pairs_are_compared_once(describe: Describe) -> None:
    images = [make_image(layer_of((str(number), b""))) for number in range(4)]
    pairs = [(c.a.name[-1], c.b.name[-1]) for c in compare_all(describe(*images))]
    assert pairs == [("0", "1"), ("0", "2"), ("0", "3"), ("1", "2"), ("1", "3"), ("2", "3")]


@pytest.mark.integration
def test_the_published_container_sets(published_archive: Path, tmp_path: Path) -> None:
    tabulate_container_sets(published_archive, tmp_path)
    layers, images = tmp_path / "container_sets.parquet", tmp_path / "container_images.parquet"
    compare_container_sets(layers, images, tmp_path / "comparisons.parquet")
    rows = pq.read_table(tmp_path / "comparisons.parquet").to_pylist()
    assert len(rows) == 4 * (45 + 45 + 21)
    matrices = dict(read_members(published_archive, ["similarity/data/similarity"]))
    for level, matrix in (
        ("layers", "container-similarity"),
        ("commands", "container-layer-content-similarity"),
    ):
        found = {
            frozenset((row["name_a"], row["name_b"])): row["jaccard"]
            for row in rows
            if row["level"] == level
        }
        published: dict[frozenset[str], float] = {}
        for path in matrices:
            if path.endswith(f"/{matrix}-similarity.csv"):
                published |= read_matrix(matrices[path])
        assert len(found) == len(published) == 45 + 45 + 21
        assert found == pytest.approx(published, rel=1e-12)
    assert {row["level"] for row in rows if row["is_identical"]} == {"commands"}


def read_matrix(content: bytes) -> dict[frozenset[str], float]:
    """The values above the diagonal of a published matrix, by the names of both images."""
    names, *lines = csv.reader(io.StringIO(content.decode()))
    return {
        frozenset((line[0], name)): float(value)
        for line in lines
        for name, value in zip(names[1:], line[1:], strict=True)
        if name != line[0]
    }
