"""Repositories of organisations and users."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pullstudy.corpus.github import list_github, read_token
from pullstudy.corpus.listing import Listing
from pullstudy.errors import ConfigError
from tests.unit.corpus.conftest import FakeGithub, describe_repository


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)


def list_owners(
    github: FakeGithub, tmp_path: Path, owners: list[str], forks: bool = True
) -> tuple[Listing, str]:
    screen = io.StringIO()
    console = Console(file=screen)
    listing = list_github(owners, github.url, tmp_path / "cache", console, forks=forks)
    return listing, screen.getvalue()


def test_all_repositories_of_all_owners(github: FakeGithub, tmp_path: Path) -> None:
    github.add("many", [f"R{number}" for number in range(250)])
    github.users["person"] = [describe_repository("person", "own")]
    listing, screen = list_owners(github, tmp_path, ["person", "many", "person"])
    expected = sorted((f"many/R{number}" for number in range(250)), key=str.lower)
    assert [repository.name for repository in listing.repositories] == ["person/own", *expected]
    assert listing.repositories[0].url == "https://github.invalid/person/own.git"
    assert {repository.collection for repository in listing.repositories} == {"orgs"}
    assert listing.failures == []
    # Two for the person (who is no organisation), three pages for the organisation.
    assert len(github.requests) == 5
    assert "many: 250 repositories" in screen


def test_forks_are_taken_or_left(github: FakeGithub, tmp_path: Path) -> None:
    github.add("o", ["a"])
    github.add("o", ["b"], fork=True)
    assert len(list_owners(github, tmp_path, ["o"])[0].repositories) == 2
    assert len(list_owners(github, tmp_path, ["o"], forks=False)[0].repositories) == 1


def test_what_is_not_shown_is_recorded(github: FakeGithub, tmp_path: Path) -> None:
    github.add("o", ["open"])
    github.add("o", ["closed"], private=True)
    github.add("o", ["odd"], clone_url="ext::sh -c true")
    github.statuses = {"law": 451, "shut": 403}
    listing, _ = list_owners(github, tmp_path, ["none", "law", "o", "shut"])
    assert [repository.name for repository in listing.repositories] == ["o/open"]
    assert [(f.name, f.reason, f.status) for f in listing.failures] == [
        ("none", "gone", 404),
        ("law", "blocked", 451),
        ("https://github.invalid/o/closed.git", "private", None),
        ("o/odd", "invalid_url", None),
        ("shut", "denied", 403),
    ]


def test_the_token_is_sent_and_not_shown(
    github: FakeGithub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", " secret \n")
    github.token = "secret"
    github.add("o", ["a"])
    listing, screen = list_owners(github, tmp_path, ["o", "none"])
    assert len(listing.repositories) == 1
    assert "secret" not in screen + repr(listing)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", "\x7f"])
def test_a_token_that_cannot_be_one(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    with pytest.raises(ConfigError) as caught:
        read_token()
    assert token not in str(caught.value).replace("GITHUB_TOKEN", "")


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token() is None
    monkeypatch.setenv("GITHUB_TOKEN", "")
    assert read_token() is None


def test_no_owner_is_a_mistake(github: FakeGithub, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"corpus\.organisations"):
        list_owners(github, tmp_path, [])


def test_names_are_quoted(github: FakeGithub, tmp_path: Path) -> None:
    listing, _ = list_owners(github, tmp_path, ["a/../b?x"])
    assert [failure.reason for failure in listing.failures] == ["gone"]
    assert github.requests[0][0].startswith("/orgs/a%2F..%2Fb%3Fx/repos?")


def test_a_countdown_is_shown(github: FakeGithub, tmp_path: Path) -> None:
    github.add("o", ["a"])
    github.faults = [(429, {"Retry-After": "1"}, b"")]
    listing, screen = list_owners(github, tmp_path, ["o"])
    assert len(listing.repositories) == 1
    assert "github: it asks for a pause: going on in 00:01" in screen
