"""Repositories that a database of the Research Software Encyclopedia names."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pullstudy.corpus.listing import Listing
from pullstudy.corpus.rsepedia import find_repository, list_rsepedia
from pullstudy.errors import ConfigError, CorpusError
from tests.unit.corpus.conftest import make_repository

# As in the real database: by parser, with what each parser keeps.
ENTRIES: dict[str, dict[str, Any]] = {
    "github/singularityhub/singularity-hpc": {
        "parser": "github",
        "uid": "github/singularityhub/singularity-hpc",
        "url": "https://github.com/singularityhub/singularity-hpc",
        "data": {
            "url": "https://api.github.com/repos/singularityhub/singularity-hpc",
            "html_url": "https://github.com/singularityhub/singularity-hpc",
            "clone_url": "https://github.com/singularityhub/singularity-hpc.git",
        },
    },
    "github/old/name": {
        "url": "https://github.com/New/Name",
        "data": {"html_url": "https://github.com/old/name"},
    },
    "github/no/url": {"url": None, "data": {"html_url": "https://github.com/no/url", "size": 3}},
    "gitlab/LouisLab/PiVR": {
        "parser": "gitlab",
        "url": "https://gitlab.com/LouisLab/pivr",
        "data": {"http_url_to_repo": "https://gitlab.com/LouisLab/pivr.git"},
    },
    "gitlab/LouisLab/pivr": {"url": "https://gitlab.com/louislab/PiVR"},
    "custom/biogrids/3d-slicer": {
        "parser": "custom",
        "url": "https://www.slicer.org/",
        "data": {"url": "https://www.slicer.org/"},
    },
    "custom/x/wiki": {"url": "https://github.com/broadinstitute/pilon/wiki"},
    "custom/x/nothing": {"data": {}},
}
EXPECTED = [
    "https://github.com/broadinstitute/pilon.git",
    "https://github.com/New/Name.git",
    "https://github.com/no/url.git",
    "https://github.com/singularityhub/singularity-hpc.git",
    "https://gitlab.com/LouisLab/pivr.git",
]


def describe(entries: Mapping[str, Any]) -> dict[bytes, bytes]:
    files = {b"README.md": b"", b"database/github/x/y/criteria.tsv": b"a\tb"}
    for name, entry in entries.items():
        content = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
        files[f"database/{name}/metadata.json".encode()] = content
    return files


def read(source: object) -> Listing:
    return list_rsepedia(str(source), Console(file=io.StringIO()))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "rseng/software.git", describe(ENTRIES))


def test_a_checkout_and_its_repository_say_the_same(tmp_path: Path, database: Path) -> None:
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", database, checkout], check=True)
    listing = read(checkout)
    assert sorted(repository.url for repository in listing.repositories) == sorted(EXPECTED)
    assert {repository.collection for repository in listing.repositories} == {"rseng"}
    assert [(failure.name, failure.reason, failure.detail) for failure in listing.failures] == [
        ("database/custom/biogrids/3d-slicer", "no_repository", "https://www.slicer.org/"),
        ("database/custom/x/nothing", "no_repository", None),
    ]
    for source in (database, f"file://{database}"):
        assert read(source) == listing


def test_entries_that_cannot_be_read(tmp_path: Path) -> None:
    broken = {"a/1": b"{", "a/2": b"[]", "a/3": b'{"url": 1}', "a/4": b"\xff"}
    database = make_repository(tmp_path / "r", describe({**broken, "b": ENTRIES["github/no/url"]}))
    listing = read(database)
    assert len(listing.repositories) == 1
    assert {failure.reason for failure in listing.failures} == {"unreadable_entry"}
    assert len(listing.failures) == 4


def test_local_repositories_only_of_a_local_database(tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "o/inner", {b"Dockerfile": b""})
    entry = {"url": f"file://{inner}"}
    database = make_repository(tmp_path / "r", describe({"a/b": entry, "c/d": {"url": "ext::x"}}))
    listing = read(f"file://{database}")
    assert [(r.name, r.url) for r in listing.repositories] == [("o/inner", f"file://{inner}")]
    assert [failure.reason for failure in listing.failures] == ["no_repository"]
    assert find_repository(entry["url"], is_local=False) is None


@pytest.mark.parametrize(
    ("page", "url"),
    [
        ("https://github.com/o/n", "https://github.com/o/n.git"),
        ("http://www.github.com/o/n.git", "https://github.com/o/n.git"),
        ("https://github.com/o/n/tree/main/x?y#z", "https://github.com/o/n.git"),
        ("https://user:secret@github.com/o/n", "https://github.com/o/n.git"),
        ("https://gitlab.com/g/s/n/-/tree/main", "https://gitlab.com/g/s/n.git"),
        ("https://gitlab.inria.fr/g/n", "https://gitlab.inria.fr/g/n.git"),
        ("https://codeberg.org/o/n/src/branch/main", "https://codeberg.org/o/n.git"),
        ("https://bitbucket.org/o/n/src", "https://bitbucket.org/o/n.git"),
        ("https://github.com/o", None),
        ("https://github.com/", None),
        ("https://example.org/o/n", None),
        ("https://[broken/o/n", None),
        ("git@github.com:o/n", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_pages_of_forges(page: str, url: str | None) -> None:
    assert find_repository(page, is_local=False) == url


@pytest.mark.parametrize("source", ["{}/none", "file://{}/none", "{}"])
def test_no_database(tmp_path: Path, source: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read(source.format(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_repository_that_is_no_database(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": b""})
    with pytest.raises(CorpusError, match=r"no entry database/…/metadata\.json"):
        read(repository)


def test_an_address_that_git_is_not_given() -> None:
    with pytest.raises(ConfigError, match=r"corpus\.rsepedia"):
        read("https://me:secret@host/x/y")
