"""Crawls of many repositories: whole, killed, repeated, and with failures."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pullstudy.corpus import crawl as crawl_module
from pullstudy.corpus.crawl import CrawlSettings, crawl_repositories
from pullstudy.corpus.listing import Repository, list_urls
from pullstudy.corpus.parts import Part, lock_folder, path_of_part, read_part
from pullstudy.errors import CorpusError
from tests.conftest import ROOT
from tests.unit.corpus.conftest import GitServer, commit_files, make_repository

SETTINGS = CrawlSettings(parallel=3, retry_seconds=(0.01, 0.01), timeout_seconds=60)
# The command by itself, on the package of this tree.
COMMAND = (
    "import typer; from pullstudy.cli.crawl import crawl; "
    "app = typer.Typer(); app.command()(crawl); app()"
)


def make_repositories(folder: Path, count: int) -> list[str]:
    draw = random.Random(1)
    urls = []
    for number in range(count):
        files = {b"%d/Dockerfile" % i: draw.randbytes(200) for i in range(number % 5)}
        repository = make_repository(folder / f"o{number % 3}/r{number}.git", {**files, b"x": b"y"})
        urls.append(f"file://{repository}")
    return urls


def crawl(urls: list[str], folder: Path, settings: CrawlSettings = SETTINGS) -> dict[str, Part]:
    repositories = list_urls(urls).repositories
    crawl_repositories(repositories, folder, settings, Console(file=io.StringIO()))
    parts = {repository.url: read_part(folder, repository.url) for repository in repositories}
    return {url: part for url, part in parts.items() if part is not None}


def digest(folder: Path, pattern: str = "*.parquet") -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob(pattern)
    }


def test_every_repository_has_its_part(tmp_path: Path) -> None:
    urls = make_repositories(tmp_path / "git", 7)
    parts = crawl(urls, tmp_path / "parts")
    assert [len(parts[url].files) for url in urls] == [0, 1, 2, 3, 4, 0, 1]
    assert all(part.commit and not part.problems for part in parts.values())
    left = {path.name for path in (tmp_path / "parts").iterdir()}
    assert left == {path_of_part(tmp_path, url).name for url in urls} | {".lock"}


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    urls = make_repositories(tmp_path / "git", 4)
    parts = crawl(urls, tmp_path / "parts")
    shutil.rmtree(tmp_path / "git")
    assert crawl(urls, tmp_path / "parts") == parts


@pytest.mark.parametrize("content", [b"", b"\x93", b"{}", b"\xff" * 100])
def test_a_damaged_part_is_fetched_again(tmp_path: Path, content: bytes) -> None:
    urls = make_repositories(tmp_path / "git", 3)
    parts = crawl(urls, tmp_path / "parts")
    path_of_part(tmp_path / "parts", urls[1]).write_bytes(content)
    assert crawl(urls, tmp_path / "parts") == parts


def test_lasting_failures_stay_and_passing_ones_are_tried_again(
    tmp_path: Path, git_server: GitServer
) -> None:
    for name in ("gone", "busy", "fine"):
        make_repository(git_server.root / name, {b"Dockerfile": name.encode()})
    git_server.answers = {"gone": (404, 0), "busy": (503, 0)}
    urls = [git_server.url(name) for name in ("gone", "busy", "fine")]
    parts = crawl(urls, tmp_path / "parts")
    reasons = [part.failure and part.failure.reason for part in parts.values()]
    assert reasons == ["gone", "rate_limited", None]
    asked = [request.split("/")[1] for request in git_server.requests]
    assert (asked.count("gone"), asked.count("busy")) == (1, 1 + len(SETTINGS.retry_seconds))
    git_server.answers = {}
    again = crawl(urls, tmp_path / "parts")
    reasons = [part.failure and part.failure.reason for part in again.values()]
    assert reasons == ["gone", None, None]
    assert [len(part.files) for part in again.values()] == [0, 1, 1]


def test_a_passing_failure_is_mended_in_the_same_crawl(
    tmp_path: Path, git_server: GitServer
) -> None:
    make_repository(git_server.root / "r", {b"Dockerfile": b"a"})
    git_server.answers["r"] = (500, 0.1)
    settings = replace(SETTINGS, retry_seconds=(0.01,) * 200)
    git_server.mend_after(0.5)
    (part,) = crawl([git_server.url("r")], tmp_path / "parts", settings).values()
    assert part.failure is None
    assert len(part.files) == 1


def test_other_bounds_matter_only_to_what_they_bounded(tmp_path: Path) -> None:
    large = make_repository(tmp_path / "o/large", {b"Dockerfile": os.urandom(5000)})
    small = make_repository(tmp_path / "o/small", {b"Dockerfile": b"a"})
    urls = [f"file://{large}", f"file://{small}"]
    parts = crawl(urls, tmp_path / "parts", replace(SETTINGS, max_dockerfile_kb=4))
    assert [len(part.files) for part in parts.values()] == [0, 1]
    commit_files(small, {b"Dockerfile": b"b"})
    parts = crawl(urls, tmp_path / "parts")
    assert len(parts[urls[0]].files) == 1
    assert parts[urls[1]].files[0].content == b"a"


@pytest.mark.parametrize("parallel", [1, 3])
def test_so_many_at_once_and_no_more(tmp_path: Path, git_server: GitServer, parallel: int) -> None:
    urls = [git_server.url(f"r{number}") for number in range(9)]
    git_server.answers = {f"r{number}": (404, 0.1) for number in range(9)}
    crawl(urls, tmp_path / "parts", replace(SETTINGS, parallel=parallel))
    assert git_server.busy_max == parallel


def test_a_slow_repository_does_not_hold_up_the_others(
    tmp_path: Path, git_server: GitServer
) -> None:
    git_server.answers["slow"] = (200, 20)
    urls = [git_server.url("slow"), *make_repositories(tmp_path / "git", 3)]
    started = time.monotonic()
    parts = crawl(urls, tmp_path / "parts", replace(SETTINGS, parallel=2, timeout_seconds=3))
    assert time.monotonic() - started < 15
    reasons = [part.failure and part.failure.reason for part in parts.values()]
    assert reasons == ["timeout", None, None, None]
    # A timeout is not repeated within a crawl.
    assert len(git_server.requests) == 1


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def test_without_a_network_it_gives_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawl_module, "_GIVE_UP_AFTER", 5)
    urls = [f"http://127.0.0.1:{closed_port()}/o/r{number}" for number in range(50)]
    with pytest.raises(CorpusError, match="check the network") as caught:
        crawl(urls, tmp_path / "parts")
    assert len(str(caught.value).splitlines()) == 1
    assert 5 <= len(list((tmp_path / "parts").glob("*.msgpack"))) < 10
    # With one that can be had, however late, it does not.
    crawl([*make_repositories(tmp_path / "git", 1), *urls[:8]], tmp_path / "parts")


def test_two_crawls_do_not_share_a_folder(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(CorpusError, match="another crawl is at work"):
        crawl([], tmp_path)
    assert crawl([], tmp_path) == {}


def test_what_a_killed_crawl_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-x/repository.git").mkdir(parents=True)
    crawl([], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def start(urls: list[str], out: Path, *options: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", COMMAND, *urls, "--out", str(out), *options]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def count_parts(out: Path) -> int:
    return len(list(out.glob("parts/*.msgpack")))


def wait_for_parts(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while count_parts(out) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_again_and_again_the_tables_are_the_same(tmp_path: Path) -> None:
    urls = [*make_repositories(tmp_path / "git", 24), f"file://{tmp_path}/git/none"]
    whole = start(urls, tmp_path / "whole")
    assert whole.wait(60) == 0
    expected = digest(tmp_path / "whole")
    assert len(expected) == 5
    draw = random.Random(3)
    out = tmp_path / "killed"
    for count in (1, 13):
        process = start(urls, out, "--parallel", "2")
        wait_for_parts(process, out, count)
        time.sleep(draw.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert count <= count_parts(out) < len(urls)
        assert digest(out) == {}
    last = start(urls, out)
    message = last.communicate(timeout=60)[0].decode()
    assert last.returncode == 0, message
    assert "repositories are there already" in message
    assert digest(out) == expected
    assert digest(out / "parts", "*.msgpack") == digest(tmp_path / "whole/parts", "*.msgpack")


def test_an_interrupt_leaves_no_process_and_no_wrong_part(
    tmp_path: Path, git_server: GitServer
) -> None:
    git_server.answers["slow"] = (200, 30)
    urls = [*make_repositories(tmp_path / "git", 2), git_server.url("slow")]
    process = start(urls, tmp_path / "out")
    wait_for_parts(process, tmp_path / "out", 2)
    while not git_server.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert count_parts(tmp_path / "out") == 2
    assert not list((tmp_path / "out/parts").glob(".unfinished-*"))
    assert not find_processes(str(tmp_path / "out"))


def find_processes(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [command for command in found if text in command]


def test_a_command_without_any_result_fails(tmp_path: Path) -> None:
    process = start([f"file://{tmp_path}/none"], tmp_path / "out")
    message = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 1
    assert "no repository could be had" in message
    assert len(digest(tmp_path / "out")) == 5


def test_a_repository_is_known_by_any_of_its_addresses(tmp_path: Path) -> None:
    (url,) = make_repositories(tmp_path / "git", 1)
    crawl([url], tmp_path / "parts")
    other = Repository("git", "x/y", url.removeprefix("file://"))
    assert read_part(tmp_path / "parts", other.url) is not None
