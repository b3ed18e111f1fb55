"""Scores: as container-guts computes them, by brute force, and against the published ones."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.archive.members import read_members
from pullstudy.archive.published import BASES
from pullstudy.bases.database import DATABASE_SHA256, BaseDatabase, load_database
from pullstudy.bases.score import DOCKER_PATHS, classify_paths
from tests.unit.bases.conftest import make_database, patient

letters = st.sets(st.sampled_from("abcdefghij"))
some_bases = st.dictionaries(st.sampled_from(["x_1", "x_2", "y_1", "z_1"]), letters, min_size=1)


@patient
@given(letters, some_bases)
def test_scores_by_brute_force(image: set[str], bases: dict[str, set[str]]) -> None:
    """Path by path, on lists as they come from running containers: Docker's paths in both."""
    running = {name: paths | DOCKER_PATHS for name, paths in bases.items()}
    found = classify_paths("image", image, make_database(**running))
    if not any(path in base for path in image for base in bases.values()):
        assert found.scores == ()
        return
    container = [*image, *DOCKER_PATHS]
    known = [path for path in container if any(path in base for base in running.values())]
    assert found.known_paths == len(known)
    for score in found.scores:
        base = bases[score.base.replace(":", "_")]
        explained = sum(path in base or path in DOCKER_PATHS for path in known)
        assert score.score == pytest.approx(explained / len(known))
        either = [path for path in "abcdefghij" if path in image or path in base]
        both = [path for path in either if path in image and path in base]
        assert score.jaccard == pytest.approx(len(both) / len(either))
    best = max(found.scores, key=lambda s: (s.score, s.jaccard))
    assert found.best is not None
    assert (found.best.score, found.best.jaccard) == (best.score, best.jaccard)
    assert found.closest is not None
    assert found.closest.jaccard == max(s.jaccard for s in found.scores)


def test_dockers_own_paths_are_no_evidence() -> None:
    database = make_database(a_1={"/bin/sh", *DOCKER_PATHS})
    assert classify_paths("scratch", {"/app", "/etc/hosts"}, database).best is None


def test_equal_scores_are_decided_by_what_is_missing() -> None:
    database = make_database(a_19={"/x", "/y", "/z"}, a_20={"/x", "/y"})
    found = classify_paths("image", {"/x", "/y", "/mine"}, database)
    assert [score.base for score in found.scores] == ["a:20", "a:19"]
    assert [score.score for score in found.scores] == [1.0, 1.0]


@pytest.fixture(scope="module")
def database(guts: Path, tmp_path_factory: pytest.TempPathFactory) -> BaseDatabase:
    return load_database(str(guts), DATABASE_SHA256, tmp_path_factory.mktemp("cache"))


Published = dict[str, tuple[str, float]]


@pytest.fixture(scope="module")
def published(published_archive: Path) -> Published:
    (content,) = (content for _, content in read_members(published_archive, [BASES]))
    entries = msgspec.json.decode(content)
    return {name: (entry["base_image"], entry["score"]) for name, entry in entries.items()}


# Docker Hub's names of the bases, `latest` of which was a base of the database at that time.
LATEST = {
    "debian": "debian:12",
    "docker.io/library/debian": "debian:12",
    "amd64/debian": "debian:12",
    "library/ubuntu": "ubuntu:24.04",
    "docker.io/library/ubuntu": "ubuntu:24.04",
    "mirror.gcr.io/library/ubuntu": "ubuntu:24.04",
    "fedora": "fedora:40",
}


@pytest.mark.integration
def test_bases_score_themselves_as_published(database: BaseDatabase, published: Published) -> None:
    for name, base in LATEST.items():
        full = f"docker.io/library/{base}"
        found = classify_paths(name, database.paths[full], database)
        assert found.best is not None
        assert (found.best.base, found.best.score) == published[name] == (full, 1.0)
        assert found.best.jaccard == 1.0


@pytest.mark.integration
def test_every_base_is_found_though_some_are_part_of_others(database: BaseDatabase) -> None:
    tied = 0
    for base, paths in database.paths.items():
        found = classify_paths(base, paths, database)
        assert found.best is not None
        assert (found.best.base, found.best.score, found.best.jaccard) == (base, 1.0, 1.0)
        tied += found.scores[1].score == 1.0
    assert tied == 11


@pytest.mark.integration
def test_the_paper_could_not_tell_alpine_3_20(database: BaseDatabase, published: Published) -> None:
    old, new = (database.paths[f"docker.io/library/alpine:3.{minor}"] for minor in (19, 20))
    assert new < old, "whatever 3.20 explains 3.19 explains as well"
    counts = Counter(base.rpartition("/")[2] for base, _ in published.values())
    assert (counts["alpine:3.19"], counts["alpine:3.20"]) == (18, 0)


@pytest.mark.integration
def test_published_scores_are_shares_of_the_pinned_bases(
    database: BaseDatabase, published: Published
) -> None:
    """Each is k / n with k paths of its base, to the last bit; 16 know one path of Debian more."""
    beyond = []
    for base, score in published.values():
        share = Fraction(score).limit_denominator(len(database.known_paths))
        assert float(share) == score
        if share.numerator > len(database.paths[base]):
            beyond.append((base, share.numerator))
    assert len(published) == 656
    debian = "docker.io/library/debian:12"
    assert beyond == [(debian, len(database.paths[debian]) + 1)] * 16
