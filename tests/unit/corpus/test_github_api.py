"""Lists of GitHub's API: pages, conditional requests, limits, faults, and where the token goes."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.corpus.github_api import GithubApi, Refusal, find_pause, origin_of
from pullstudy.errors import ConfigError, CorpusError
from tests.unit.corpus.conftest import FakeGithub, Pauses, limit_answer

TOKEN = "ghp_secret0123"
LIST = "/orgs/big/repos?per_page=3"


@pytest.fixture
def api(github: FakeGithub, pauses: Pauses, tmp_path: Path) -> GithubApi:
    github.add("big", [f"r{number}" for number in range(8)])
    return GithubApi(github.url, TOKEN, tmp_path / "cache", pauses)


def names(api: GithubApi, path: str = LIST) -> list[str]:
    return [repository.full_name for repository in api.list_repositories(path)]


ALL = [f"big/r{number}" for number in range(8)]


def statuses(github: FakeGithub) -> list[int]:
    return [status for _, _, status in github.requests]


def test_all_pages_in_order(api: GithubApi, github: FakeGithub) -> None:
    assert names(api) == ALL
    assert statuses(github) == [200, 200, 200]
    headers = github.requests[0][1]
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["X-GitHub-Api-Version"]


def test_what_did_not_change_is_not_sent_again(
    api: GithubApi, github: FakeGithub, pauses: Pauses, tmp_path: Path
) -> None:
    names(api)
    before = github.remaining
    again = GithubApi(github.url, TOKEN, tmp_path / "cache", pauses)
    assert names(again) == ALL
    assert statuses(github)[3:] == [304, 304, 304]
    assert github.remaining == before
    github.add("big", ["new"])
    assert names(again) == [*ALL, "big/new"]
    assert statuses(github)[6:] == [304, 304, 200]


def test_a_damaged_page_on_disk_is_asked_for_again(
    api: GithubApi, github: FakeGithub, tmp_path: Path
) -> None:
    names(api)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b'{"url": ')
    assert names(api) == ALL


def test_the_token_is_not_kept(api: GithubApi, tmp_path: Path) -> None:
    names(api)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert b"big/r0" in kept
    assert TOKEN.encode() not in kept


def test_the_quota_is_used_up(api: GithubApi, github: FakeGithub, pauses: Pauses) -> None:
    github.remaining = 0
    pauses.then = lambda: setattr(github, "remaining", 9)
    assert names(api) == ALL
    ((seconds, reason),) = pauses.taken
    assert 29 <= seconds <= 32
    assert "quota" in reason
    assert statuses(github) == [403, 200, 200, 200]


def test_it_waits_before_the_quota_is_overdrawn(
    api: GithubApi, github: FakeGithub, pauses: Pauses
) -> None:
    github.remaining = 2
    pauses.then = lambda: setattr(github, "remaining", 9)
    assert names(api) == ALL
    assert statuses(github) == [200, 200, 200]
    assert len(pauses.taken) == 1
    assert 28 <= pauses.taken[0][0] <= 32


@pytest.mark.parametrize("status", [403, 429])
def test_a_pause_that_is_asked_for(
    api: GithubApi, github: FakeGithub, pauses: Pauses, status: int
) -> None:
    github.faults = [(status, {"Retry-After": "7"}, b"secondary rate limit")]
    assert names(api) == ALL
    assert [seconds for seconds, _ in pauses.taken] == [7]


def test_a_pause_until_a_date(api: GithubApi, github: FakeGithub, pauses: Pauses) -> None:
    github.faults = [(429, {"Retry-After": formatdate(time.time() + 90, usegmt=True)}, b"")]
    assert names(api) == ALL
    assert 88 <= pauses.taken[0][0] <= 91


def test_ever_longer_pauses_where_no_time_is_named(
    api: GithubApi, github: FakeGithub, pauses: Pauses
) -> None:
    message = b'{"message": "You have exceeded a secondary rate limit"}'
    github.faults = [(403, {}, message), (429, {}, b""), (403, {}, message)]
    assert names(api) == ALL
    assert [seconds for seconds, _ in pauses.taken] == [60, 120, 240]


def test_the_clock_of_the_server_counts(api: GithubApi, github: FakeGithub, pauses: Pauses) -> None:
    wrong = time.time() + 12_345
    headers = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(wrong) + 40),
        "Date": formatdate(wrong, usegmt=True),
    }
    github.faults = [(403, headers, b"")]
    assert names(api) == ALL
    assert 39 <= pauses.taken[0][0] <= 42


def test_nobody_is_waited_for_all_day(api: GithubApi, github: FakeGithub, pauses: Pauses) -> None:
    github.faults = [limit_answer(seconds=10 * 3600)]
    with pytest.raises(CorpusError, match=r"10\.0 h; run again then"):
        names(api)
    assert pauses.taken == []


def test_it_does_not_ask_for_ever(api: GithubApi, github: FakeGithub, pauses: Pauses) -> None:
    github.faults = [(502, {}, b"")] * 99
    with pytest.raises(CorpusError, match="run again to go on"):
        names(api)
    assert len(github.requests) == 8
    assert [seconds for seconds, _ in pauses.taken] == [1, 2, 4, 8, 16, 32, 64, 128]


def test_faults_between_pages(api: GithubApi, github: FakeGithub, pauses: Pauses) -> None:
    answer = github.answer
    calls = iter(range(100))

    def stumble(path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return (503, {}, b"") if next(calls) % 2 else answer(path, headers)

    github.answer = stumble  # type: ignore[method-assign,assignment]
    assert names(api) == ALL
    assert len(pauses.taken) == 2


def test_nobody_answers(pauses: Pauses, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        api = GithubApi(
            f"http://127.0.0.1:{unused.getsockname()[1]}", None, tmp_path / "cache", pauses
        )
        with pytest.raises(CorpusError, match=r"no answer \(ConnectionError\), 8 times"):
            names(api)


@pytest.mark.parametrize("status", [403, 404, 410, 451])
def test_refusals(api: GithubApi, github: FakeGithub, pauses: Pauses, status: int) -> None:
    github.statuses["big"] = status
    with pytest.raises(Refusal) as caught:
        names(api)
    assert caught.value.status == status
    assert (len(github.requests), pauses.taken) == (1, [])


@pytest.mark.parametrize("status", [400, 204, 422])
def test_answers_that_make_no_sense(api: GithubApi, github: FakeGithub, status: int) -> None:
    github.statuses["big"] = status
    with pytest.raises(CorpusError, match=f"{status}"):
        names(api)


def test_a_wrong_token_is_said_and_not_shown(
    api: GithubApi, github: FakeGithub, pauses: Pauses, tmp_path: Path
) -> None:
    github.token = "another"
    with pytest.raises(CorpusError, match="GITHUB_TOKEN is not accepted") as caught:
        names(api)
    assert TOKEN not in str(caught.value)
    with pytest.raises(CorpusError, match="set GITHUB_TOKEN"):
        names(GithubApi(github.url, None, tmp_path / "cache", pauses))


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'[{"full_name": 1}]', b"[1]", b"\xff"])
def test_bodies_that_are_no_list(api: GithubApi, github: FakeGithub, body: bytes) -> None:
    github.faults = [(200, {}, body)]
    with pytest.raises(CorpusError, match="no list of repositories") as caught:
        names(api)
    assert len(str(caught.value).splitlines()) == 1


def test_pages_in_circles(api: GithubApi, github: FakeGithub) -> None:
    link = {"Link": f'<{github.url}{LIST}>; rel="next"'}
    github.faults = [(200, link, b"[]")] * 3
    with pytest.raises(CorpusError, match="circles"):
        names(api)


def test_the_token_goes_to_no_other_host(
    api: GithubApi, github: FakeGithub, tmp_path: Path
) -> None:
    # The same server by another name is another host.
    other = github.url.replace("127.0.0.1", "localhost")
    for fault in (
        (200, {"Link": f'<{other}/orgs/big/repos?per_page=3&page=2>; rel="next"'}, b"[]"),
        (301, {"Location": f"{other}{LIST}"}, b""),
        (302, {"Location": "https://127.0.0.1:1/"}, b""),
    ):
        github.faults = [fault]
        before = len(github.requests)
        with pytest.raises(CorpusError, match="another host; not followed"):
            names(api)
        assert len(github.requests) == before + 1


def test_a_renamed_organisation_is_followed(api: GithubApi, github: FakeGithub) -> None:
    github.faults = [(301, {"Location": LIST}, b"")]
    assert names(api, "/orgs/old/repos?per_page=3") == ALL
    assert {headers.get("Authorization") for _, headers, _ in github.requests} == {
        f"Bearer {TOKEN}"
    }
    github.faults = [(301, {"Location": LIST}, b"")] * 9
    with pytest.raises(CorpusError, match="redirects"):
        names(api)


def test_without_a_token_nothing_is_sent(
    github: FakeGithub, pauses: Pauses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    github.add("big", ["r"])
    assert names(GithubApi(github.url, None, tmp_path / "cache", pauses)) == ["big/r"]
    assert "Authorization" not in github.requests[0][1]


def test_no_token_without_encryption(pauses: Pauses, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="https only"):
        GithubApi("http://github.example.org/api/v3", TOKEN, tmp_path, pauses)
    GithubApi("https://github.example.org/api/v3", TOKEN, tmp_path, pauses)
    GithubApi("http://github.example.org/api/v3", None, tmp_path, pauses)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("https://a/x", "https://a:443/y", True),
        ("https://A/x", "https://a/", True),
        ("https://a/", "http://a/", False),
        ("https://a/", "https://a:8443/", False),
        ("https://a/", "https://a.b/", False),
        ("https://a/", "https://a@b/", False),
    ],
)
def test_origins(first: str, second: str, same: bool) -> None:
    assert (origin_of(first) == origin_of(second)) == same


@given(
    st.sampled_from([200, 304, 403, 404, 429, 500, 503]),
    st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date"]),
        st.text("0123456789- :Az", max_size=12)
        | st.sampled_from([formatdate(1e9, usegmt=True), formatdate(2e9), formatdate(1e9, True)]),
    ),
)
def test_no_header_breaks_it(status: int, headers: dict[str, str]) -> None:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    response._content = b""
    pause = find_pause(response, 0)
    assert pause is None or pause[0] >= 1
    if status < 400 or status == 404:
        assert pause is None
