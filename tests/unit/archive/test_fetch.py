"""Fetching over a loopback server that cuts connections, ignores ranges and tells lies."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pullstudy.archive import fetch
from pullstudy.archive.fetch import obtain_archive
from pullstudy.errors import ArchiveMissing, ArchiveTruncated, ChecksumMismatch

CONTENT = bytes(range(251)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CUT = 1_200_000

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the next step of the server's script; the last one is repeated."""

    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        steps = self.server.steps
        (steps.pop(0) if len(steps) > 1 else steps[0])(self)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps: list[Answer] = []
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/archive.tar.gz"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "_WAIT_SECONDS", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def send(
    content: bytes = CONTENT,
    *,
    cut: int | None = None,
    knows_ranges: bool = True,
    tag: str | None = None,
    early: int = 0,
) -> Answer:
    """Answer with the content; cut: bytes after which the connection ends; early: begin before."""

    def answer(handler: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        fits = handler.headers.get("If-Range") in (None, tag)
        start = max(int(asked[1]) - early, 0) if asked and knows_ranges and fits else 0
        if start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if tag:
            handler.send_header("ETag", tag)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start:][:cut])

    return answer


def refuse(status: int) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_a_download_is_kept_and_used_again(server: Server, tmp_path: Path) -> None:
    server.steps = [send()]
    path = obtain_archive(server.url, SHA256, tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert obtain_archive(server.url, SHA256.upper(), tmp_path / "cache") == path
    assert server.ranges == [None]
    assert list((tmp_path / "cache").iterdir()) == [path]


def test_a_cut_connection_is_resumed_at_its_end(server: Server, tmp_path: Path) -> None:
    server.steps = [send(cut=CUT), send(cut=CUT), send()]
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={CUT}-", f"bytes={2 * CUT}-"]


def test_a_broken_download_is_resumed_by_the_next_run(server: Server, tmp_path: Path) -> None:
    server.steps = [send(cut=CUT), refuse(503)]
    with pytest.raises(ArchiveTruncated, match=rf"^[^\n]*broke off after {CUT} of [^\n]*run again"):
        obtain_archive(server.url, SHA256, tmp_path)
    server.steps, server.ranges = [send()], []
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={CUT}-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    server.steps = [send(cut=CUT), send(knows_ranges=False)]
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_range_that_begins_early_is_put_in_its_place(server: Server, tmp_path: Path) -> None:
    server.steps = [send(cut=CUT), send(early=1000)]
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_download_that_was_complete_but_not_moved_is_taken(
    server: Server, tmp_path: Path
) -> None:
    server.steps = [send(cut=CUT), refuse(503)]
    with pytest.raises(ArchiveTruncated):
        obtain_archive(server.url, SHA256, tmp_path)
    (partial,) = tmp_path.iterdir()
    partial.write_bytes(CONTENT)
    server.steps = [send()]
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_held_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.steps = [send(cut=CUT), refuse(503)]
    with pytest.raises(ArchiveTruncated):
        obtain_archive(server.url, SHA256, tmp_path)
    (partial,) = tmp_path.iterdir()
    partial.write_bytes(CONTENT + b"more")
    server.steps = [send()]
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_without_a_checksum_only_the_same_entity_is_resumed(server: Server, tmp_path: Path) -> None:
    server.steps = [send(cut=CUT, tag='"1"'), send(b"another", tag='"2"')]
    assert obtain_archive(server.url, None, tmp_path / "1").read_bytes() == b"another"
    server.steps, server.ranges = [send(cut=CUT, tag='"1"'), send(tag='"1"')], []
    assert obtain_archive(server.url, None, tmp_path / "2").read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={CUT}-"]
    server.steps, server.ranges = [send(cut=CUT), send()], []
    assert obtain_archive(server.url, None, tmp_path / "3").read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.steps = [send()]
    with pytest.raises(ChecksumMismatch, match=rf"^[^\n]*{SHA256}[^\n]*run again[^\n]*$"):
        obtain_archive(server.url, "0" * 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_mixed_file_is_noticed_and_the_next_run_is_whole(server: Server, tmp_path: Path) -> None:
    server.steps = [send(bytes(len(CONTENT)), cut=CUT), send()]
    with pytest.raises(ChecksumMismatch):
        obtain_archive(server.url, SHA256, tmp_path)
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_an_address_that_is_wrong_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.steps = [refuse(404)]
    with pytest.raises(ArchiveMissing, match=r"^[^\n]*404[^\n]*check the address[^\n]*$"):
        obtain_archive(server.url, SHA256, tmp_path)
    assert len(server.ranges) == 1


def test_a_busy_server_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.steps = [refuse(503), refuse(429), send()]
    assert obtain_archive(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_no_server_at_all_is_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_WAIT_SECONDS", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as closed:
        url = closed.url
    with pytest.raises(ArchiveMissing, match=r"^[^\n]*cannot be downloaded[^\n]*local file$"):
        obtain_archive(url, SHA256, tmp_path)


def test_local_archives_are_used_in_place(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(CONTENT)
    cache = tmp_path / "cache"
    assert obtain_archive(str(archive), SHA256.upper(), cache) == archive
    assert obtain_archive(str(archive), None, cache) == archive
    assert obtain_archive(str(tmp_path), SHA256, cache) == tmp_path
    assert not cache.exists()
    with pytest.raises(ChecksumMismatch, match=SHA256):
        obtain_archive(str(archive), "0" * 64, cache)
    with pytest.raises(ArchiveMissing, match="no such file or folder"):
        obtain_archive(str(tmp_path / "none"), None, cache)
