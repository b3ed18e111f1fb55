"""Addresses of repositories: which are taken, which are the same, and samples of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.corpus.listing import (
    Listing,
    Repository,
    drop_repeated,
    file_stem,
    find_problem,
    key_of,
    list_urls,
    name_repository,
    read_listing,
    redact,
    sample_repositories,
    write_listing,
)
from pullstudy.errors import ConfigError, CorpusError


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/name", "owner/name"),
        ("https://github.com/owner/name.git", "owner/name"),
        ("https://github.com/owner/name/", "owner/name"),
        ("https://gitlab.com/group/sub/name.git", "group/sub/name"),
        ("ssh://git@host.org:2222/owner/name.git", "owner/name"),
        ("git@github.com:owner/name.git", "owner/name"),
        ("git://host/name", "name"),
        ("file:///srv/git/owner/name.git", "owner/name"),
        ("file:///srv/git/owner/a%20b.git", "owner/a b"),
        ("/srv/git/owner/name/.git", "owner/name"),
        ("/srv/git/owner/name/", "owner/name"),
    ],
)
def test_name(url: str, name: str) -> None:
    assert name_repository(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Owner/Name.git",
        "http://www.github.com/owner/name",
        "git@github.com:owner/name",
        "ssh://git@github.com/OWNER/name.git/",
    ],
)
def test_the_same_repository_has_one_key(url: str) -> None:
    assert key_of(url) == "github.com/owner/name"
    assert file_stem(url).endswith(file_stem("https://github.com/owner/name")[-16:])


def test_elsewhere_upper_case_is_another_repository() -> None:
    assert key_of("https://host.org/O/n") != key_of("https://host.org/o/n")
    assert key_of("/srv/O/n") != key_of("/srv/o/n")
    assert key_of("file:///srv/o/n.git") == key_of("/srv/o/n")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not an address"),
        ("  ", "not an address"),
        ("-u./run", "not an address"),
        ("--upload-pack=touch x", "not an address"),
        ("https://h/a\nb", "not an address"),
        ("https://h/a\udcff", "not an address"),
        ("https://[::1/a", "not an address"),
        ("ext::sh -c touch% x", "no transport"),
        ("fd::17", "no transport"),
        ("ftp://h/a/b", "no transport"),
        ("https:///a/b", "no host"),
        ("https://github.com/", "no host or no repository"),
        ("https://me:secret@h/a/b", "password"),
        ("https://secret@h/a/b", "password"),
        ("ssh://me:secret@h/a/b", "password"),
    ],
)
def test_what_git_is_not_given(url: str, words: str) -> None:
    problem = find_problem(url)
    assert problem is not None
    assert words in problem
    with pytest.raises(ConfigError) as caught:
        list_urls([url])
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["a/b", "./a:b", "git@h:a/b", "ssh://git@h/a", "file:///a", "https://h/a", "/a b/ä"]
)
def test_what_git_is_given(url: str) -> None:
    assert find_problem(url) is None


def test_paths_are_absolute_and_repetitions_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listing = list_urls(["x/one", f"file://{tmp_path}/x/one.git", "x/two", "./x/one/.git"])
    assert listing.repositories == [
        Repository("git", "x/one", f"{tmp_path}/x/one"),
        Repository("git", "x/two", f"{tmp_path}/x/two"),
    ]
    assert drop_repeated(listing.repositories * 2) == listing.repositories


@given(st.lists(st.text("abc/.-", min_size=1, max_size=8), max_size=30), st.integers(0, 40))
def test_a_larger_sample_holds_the_smaller(names: list[str], count: int) -> None:
    listed = drop_repeated(Repository("git", name, f"/{name}") for name in names)
    sample = sample_repositories(listed, count, seed=1)
    assert len(sample) == min(count, len(listed))
    positions = [listed.index(repository) for repository in sample]
    assert positions == sorted(positions)
    assert set(sample) <= set(sample_repositories(listed, count + 1, seed=1))
    assert sample_repositories(listed, None, seed=1) == listed


def test_every_repository_may_be_drawn() -> None:
    listed = [Repository("git", str(i), f"/{i}") for i in range(20)]
    drawn = [sample_repositories(listed, 1, seed)[0] for seed in range(400)]
    # The rarest of 20 comes in 400 draws with a probability of 1 - 2e-8 at least.
    assert set(drawn) == set(listed)


@given(st.text(max_size=300), st.text(max_size=300))
def test_file_names_are_short_plain_and_distinct(first: str, second: str) -> None:
    stems = [file_stem("/" + text) for text in (first, second)]
    for stem in stems:
        assert len(stem) <= 77
        assert not set(stem) & set("/\0\n ")
        assert not stem.startswith(".")
    assert (stems[0] == stems[1]) == (key_of("/" + first) == key_of("/" + second))


def test_a_list_is_read_as_written(tmp_path: Path) -> None:
    listing = Listing([Repository("git", "ä/b", "/ä/b")], [])
    write_listing(listing, tmp_path / "list.json")
    assert read_listing(tmp_path / "list.json") == listing


@pytest.mark.parametrize("text", ["", "[]", '{"repositories": [{"name": 1}]}'])
def test_a_broken_list_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(CorpusError, match="no list of repositories"):
        read_listing(tmp_path / "list.json")


def test_redact() -> None:
    assert redact("https://u:p@h/a@b") == "https://…@h/a@b"
    assert redact("git@h:a/b") == "git@h:a/b"
