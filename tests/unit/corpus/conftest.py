"""Local git repositories, a git server over HTTP, and an imitation of GitHub's API."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

# Mode and content; for a submodule the content is its commit.
Entry = tuple[bytes, bytes]
Files = Mapping[bytes, bytes | Entry]
LINK, SUBMODULE = b"120000", b"160000"


def run_git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=folder, input=stdin, capture_output=True, check=True
    ).stdout


def make_repository(path: Path, files: Files, *init_options: str) -> Path:
    """Make a bare repository with one commit, served with filters."""
    path.mkdir(parents=True)
    run_git(path, "init", "--quiet", "--bare", "--initial-branch=main", *init_options)
    run_git(path, "config", "uploadpack.allowFilter", "true")
    commit_files(path, files)
    return path


def commit_files(path: Path, files: Files) -> None:
    lines = [b"commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\ndeleteall\n"]
    for name, value in files.items():
        mode, content = value if isinstance(value, tuple) else (b"100644", value)
        quoted = b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'
        if mode == SUBMODULE:
            lines.append(b"M %s %s %s\n" % (mode, content, quoted))
        else:
            lines.append(b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(content), content))
    run_git(path, "fast-import", "--quiet", "--force", stdin=b"".join(lines))


@dataclass
class GitServer:
    """Repositories below `root` over git's smart HTTP protocol; what it is to do can be changed."""

    root: Path
    port: int = 0
    # (status, seconds to wait) instead of an answer, by the first part of the path.
    answers: dict[str, tuple[int, float]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    busy: int = 0
    busy_max: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def mend_after(self, seconds: float) -> None:
        """Serve everything again a while later."""
        threading.Timer(seconds, self.answers.clear).start()


def make_git_handler(server: GitServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with server.lock:
                server.requests.append(f"{self.command} {self.path}")
                server.busy += 1
                server.busy_max = max(server.busy, server.busy_max)
            try:
                self.answer_with(body)
            finally:
                with server.lock:
                    server.busy -= 1

        def answer_with(self, body: bytes) -> None:
            fault = server.answers.get(self.path.split("/")[1])
            if fault is None:
                status, headers, content = run_backend(server.root, self, body)
            else:
                status, headers, content = fault[0], {}, b""
                time.sleep(fault[1])
                if status == 401:
                    headers = {"WWW-Authenticate": 'Basic realm="x"'}
            server.bytes_sent += len(content)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815

    return Handler


def run_backend(
    root: Path, request: http.server.BaseHTTPRequestHandler, body: bytes
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(request.path)
    environment = os.environ | {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "REQUEST_METHOD": request.command,
    }
    output = subprocess.run(
        ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
    ).stdout
    head, _, content = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    return int(headers.pop("Status", "200").split()[0]), headers, content


def serve(handler: type[http.server.BaseHTTPRequestHandler]) -> http.server.ThreadingHTTPServer:
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
    return httpd


@contextlib.contextmanager
def serve_git(root: Path) -> Iterator[GitServer]:
    root.mkdir()
    server = GitServer(root)
    httpd = serve(make_git_handler(server))
    server.port = httpd.server_port
    yield server
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as server:
        yield server


# Method and headers of a request to an answer: status, headers, body.
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class FakeGithub:
    """GitHub's lists of repositories as its documentation describes them."""

    organisations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    users: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # Given in this order, instead of an answer.
    faults: list[Answer] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    remaining: int = 5000
    token: str | None = None
    requests: list[tuple[str, dict[str, str], int]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, owner: str, names: list[str], **keys: Any) -> None:
        listed = self.organisations.setdefault(owner, [])
        listed += [describe_repository(owner, name, **keys) for name in names]

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        if self.faults:
            return self.faults.pop(0)
        if self.token is not None and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {}, b'{"message": "Bad credentials"}'
        parts = urlsplit(path)
        _, kind, owner, _ = parts.path.split("/")
        if owner in self.statuses:
            return self.statuses[owner], {}, b'{"message": "no"}'
        listed = (self.organisations if kind == "orgs" else self.users).get(owner)
        if listed is None:
            return self.count(404, {}, b'{"message": "Not Found"}')
        return self.answer_page(parts.path, parse_qs(parts.query), listed, headers)

    def answer_page(
        self, path: str, query: dict[str, list[str]], listed: list[Any], headers: Mapping[str, str]
    ) -> Answer:
        size, number = int(query["per_page"][0]), int(query.get("page", ["1"])[0])
        body = json.dumps(listed[(number - 1) * size : number * size]).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        answer_headers = {"ETag": etag}
        if headers.get("If-None-Match") == etag:
            return 304, answer_headers, b""
        if number * size < len(listed):
            following = f"{self.url}{path}?per_page={size}&page={number + 1}"
            answer_headers["Link"] = f'<{following}>; rel="next", <{self.url}{path}>; rel="first"'
        return self.count(200, answer_headers, body)

    def count(self, status: int, headers: dict[str, str], body: bytes) -> Answer:
        if self.remaining == 0:
            return limit_answer(seconds=30)
        self.remaining -= 1
        quota = {
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + 30),
        }
        return status, headers | quota, body


def limit_answer(seconds: int, status: int = 403) -> Answer:
    """The answer when the quota is used up."""
    headers = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(time.time()) + seconds),
        "Date": formatdate(usegmt=True),
    }
    return status, headers, b'{"message": "API rate limit exceeded"}'


def describe_repository(owner: str, name: str, **keys: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "full_name": f"{owner}/{name}",
        "clone_url": f"https://github.invalid/{owner}/{name}.git",
        "fork": False,
        "private": False,
        "size": 12,
        "topics": [],
    } | keys


@contextlib.contextmanager
def serve_github() -> Iterator[FakeGithub]:
    fake = FakeGithub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            headers = dict(self.headers.items())
            status, answer_headers, body = fake.answer(self.path, headers)
            fake.requests.append((self.path, headers, status))
            self.send_response_only(status)
            for key, value in {"Date": formatdate(usegmt=True), **answer_headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    httpd = serve(Handler)
    fake.port = httpd.server_port
    yield fake
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def github() -> Iterator[FakeGithub]:
    with serve_github() as fake:
        yield fake


@dataclass
class Pauses:
    """Takes the place of waiting."""

    taken: list[tuple[float, str]] = field(default_factory=list)
    then: Callable[[], None] = lambda: None

    def __call__(self, seconds: float, reason: str) -> None:
        self.taken.append((seconds, reason))
        self.then()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()
