"""Which members of the archive are Dockerfiles of the corpus."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.archive.corpus import locate_dockerfile, read_corpus
from pullstudy.dockerfiles.tabulate import SourceFile

DATA = "dockerfile/data"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("machine-learning/o/r/Dockerfile", ("machine-learning", "o/r", "Dockerfile")),
        ("rseng/o/r/a/b/Dockerfile.gpu", ("rseng", "o/r", "a/b/Dockerfile.gpu")),
        ("orgs/org/o/r/Dockerfile-x", ("orgs", "o/r", "Dockerfile-x")),
        (
            "orgs/org/o/r/dockerfile/data/rseng/Dockerfile",
            ("orgs", "o/r", "dockerfile/data/rseng/Dockerfile"),
        ),
        ("new/o/r/Dockerfile", ("new", "o/r", "Dockerfile")),
        ("orgs/org/o/Dockerfile", None),
        ("rseng/o/Dockerfile", None),
        ("rseng/Dockerfile", None),
        ("rseng", None),
        ("rseng/o/r/Makefile", None),
        ("rseng/o/r/dockerfile", None),
        ("rseng/o/Dockerfile/README", None),
        ("dockerfile/o/r/Dockerfile", None),
        ("dockerfile/registry/a/b/manifests-config-layers.json", None),
    ],
)
@pytest.mark.parametrize("above", ["", "experiments/", "container-chonks-fa06749/experiments/"])
def test_location(above: str, path: str, location: tuple[str, str, str] | None) -> None:
    assert locate_dockerfile(f"{above}{DATA}/{path}") == location


@pytest.mark.parametrize("path", ["", "/", "Dockerfile", "data/rseng/o/r/Dockerfile", f"{DATA}/"])
def test_what_is_not_below_the_data_folder(path: str) -> None:
    assert locate_dockerfile(path) is None


@given(
    st.text("/.adDor", max_size=30)
    | st.lists(
        st.sampled_from(["dockerfile", "data", "orgs", "rseng", "Dockerfile", "", "\n"])
    ).map("/".join)
)
def test_no_path_breaks_it(path: str) -> None:
    location = locate_dockerfile(path)
    if location is not None:
        assert path.endswith("/".join(location[1:]))


def test_what_is_skipped_is_counted() -> None:
    members = [
        (f"{DATA}/rseng/o/r/Dockerfile", b"FROM a"),
        (f"{DATA}/rseng/o/r/Makefile", b""),
        (f"{DATA}/orgs/o/r/Dockerfile", b""),
        (f"{DATA}/dockerfile/x.json", b"{}"),
        ("pulling/x.json", b"{}"),
    ]
    skipped: list[tuple[str, str]] = []
    assert list(read_corpus(members, skipped)) == [
        SourceFile("rseng", "o/r", "Dockerfile", b"FROM a")
    ]
    assert Counter(reason for _, reason in skipped) == {
        "not_named_dockerfile": 1,
        "no_repository_in_path": 1,
        "outside_of_the_corpus": 2,
    }
    assert len(list(read_corpus(members))) == 1
