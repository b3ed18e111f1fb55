"""Git on strangers' repositories: it asks nothing, runs nothing of theirs, and ends in time."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pullstudy.corpus import git as git_module
from pullstudy.corpus.git import Git, Processes, Stopped, Unavailable, check_git, explain_message
from pullstudy.errors import CorpusError
from tests.unit.corpus.conftest import GitServer, make_repository, run_git

MB = 1_000_000


def open_git(folder: Path, seconds: float = 60, processes: Processes | None = None) -> Git:
    folder.mkdir(exist_ok=True)
    return Git(folder, 100 * MB, seconds, processes or Processes())


def cause_of(tmp_path: Path, url: str, seconds: float = 60) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        open_git(tmp_path / "work", seconds).clone(url)
    assert len(caught.value.detail.splitlines()) == 1
    return caught.value


@pytest.mark.parametrize(
    ("status", "reason", "is_temporary"),
    [
        (401, "private_or_gone", False),
        (403, "denied", False),
        (404, "gone", False),
        (410, "gone", False),
        (451, "blocked", False),
        (429, "rate_limited", True),
        (500, "unreachable", True),
        (503, "rate_limited", True),
        (418, "git_error", False),
    ],
)
def test_a_status_of_the_server(
    tmp_path: Path, git_server: GitServer, status: int, reason: str, is_temporary: bool
) -> None:
    git_server.answers["r"] = (status, 0)
    cause = cause_of(tmp_path, git_server.url("r"))
    assert (cause.reason, cause.is_temporary) == (reason, is_temporary)
    # Of these two git says in words only what happened.
    assert cause.status == (None if status in (401, 404) else status)


def test_nobody_at_home(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/r", f"git://127.0.0.1:{port}/r"):
            cause = cause_of(tmp_path, url)
            assert (cause.reason, cause.is_temporary) == ("unreachable", True)


def test_the_server_stalls(tmp_path: Path, git_server: GitServer) -> None:
    git_server.answers["r"] = (200, 20)
    started = time.monotonic()
    processes = Processes()
    git = open_git(tmp_path / "work", 0.5, processes)
    with pytest.raises(Unavailable) as caught:
        git.clone(git_server.url("r"))
    assert (caught.value.reason, caught.value.is_temporary) == ("timeout", True)
    assert time.monotonic() - started < 10
    assert find_children() == []
    # The time is for all commands together.
    with pytest.raises(Unavailable, match=r"within 0\.5 s"):
        git.run("version")


def find_children() -> list[str]:
    """The git processes that this process started and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == os.getpid() and status[0] != "Z":
                found.append((folder / "cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [command for command in found if "git" in command]


def test_stopping_ends_what_runs(tmp_path: Path, git_server: GitServer) -> None:
    git_server.answers["r"] = (200, 20)
    processes = Processes()
    timer = threading.Timer(0.3, processes.stop)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Stopped):
        open_git(tmp_path / "work", processes=processes).clone(git_server.url("r"))
    with pytest.raises(Stopped):
        open_git(tmp_path / "later", processes=processes).clone(git_server.url("r"))
    assert time.monotonic() - started < 10
    assert find_children() == []


def write_trap(path: Path, witness: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho run >> {witness}\necho username=x\necho password=y\n")
    path.chmod(0o755)
    return path


def test_nothing_of_the_users_is_run(
    tmp_path: Path, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = make_repository(tmp_path / "public", {b"Dockerfile": b""})
    witness = tmp_path / "witness"
    trap = write_trap(tmp_path / "trap", witness)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        write_trap(tmp_path / "hooks" / hook, witness)
        write_trap(tmp_path / "template/hooks" / hook, witness)
    config = tmp_path / "config"
    config.write_text(
        f"[credential]\n\thelper = {trap}\n[core]\n\taskPass = {trap}\n"
        f"\thooksPath = {tmp_path}/hooks\n\tfsmonitor = {trap}\n"
        f"[init]\n\ttemplateDir = {tmp_path}/template\n[clone]\n\tdefaultRemoteName = other\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_ASKPASS", str(trap))
    monkeypatch.setenv("SSH_ASKPASS", str(trap))
    git_server.answers["private"] = (401, 0)
    assert cause_of(tmp_path, git_server.url("private")).reason == "private_or_gone"
    open_git(tmp_path / "copy").clone(f"file://{public}")
    assert not witness.exists()
    # The same traps do close on git as it is.
    for number, url in enumerate([git_server.url("private"), f"file://{public}"]):
        subprocess.run(
            ["git", "clone", "--quiet", url, str(number)],
            cwd=tmp_path, stderr=subprocess.DEVNULL, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert witness.exists()
        witness.unlink()


def test_the_repository_of_the_environment_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path / "r", {b"a": b""})
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    git = open_git(tmp_path / "work")
    git.clone(f"file://{repository}")
    assert git.run("ls-tree", "--name-only", "HEAD") == b"a\n"
    assert not (tmp_path / "elsewhere").exists()


def test_a_transport_that_runs_a_command_is_refused(tmp_path: Path) -> None:
    cause = cause_of(tmp_path, f"ext::sh -c touch% {tmp_path}/witness")
    assert "not allowed" in cause.detail
    assert not (tmp_path / "witness").exists()


def test_submodules_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = make_repository(tmp_path / "inner", {b"Dockerfile": b""})
    commit = run_git(inner, "rev-parse", "main").strip()
    modules = f'[submodule "s"]\n\tpath = s\n\turl = file://{inner}\n'.encode()
    outer = make_repository(
        tmp_path / "outer", {b".gitmodules": modules, b"s": (b"160000", commit)}
    )
    (tmp_path / "config").write_text("[submodule]\n\trecurse = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    git = open_git(tmp_path / "work")
    git.clone(f"file://{outer}")
    assert not (tmp_path / "work/repository.git/modules").exists()
    assert b"Dockerfile" not in git.run("ls-tree", "-r", "HEAD")


def test_a_file_that_grows_too_large(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": os.urandom(3 * MB)})
    object_id = run_git(repository, "rev-parse", "main:Dockerfile")
    (tmp_path / "work").mkdir()
    git = Git(tmp_path / "work", MB, 60, Processes())
    git.clone(f"file://{repository}")
    with pytest.raises(Unavailable) as caught:
        git.run("fetch", "--filter=blob:none", "--stdin", "origin", stdin=object_id)
    assert (caught.value.reason, caught.value.detail) == ("too_large", "more than 1 MB")


def test_messages_without_end_are_cut(tmp_path: Path) -> None:
    git = open_git(tmp_path / "work")
    git.clone(f"file://{make_repository(tmp_path / 'r', {b'a': b''})}")
    with pytest.raises(Unavailable) as caught:
        git.run("fetch", "--" + "x" * 100_000)
    assert len(caught.value.detail) <= 500


@pytest.mark.parametrize(
    ("text", "reason", "is_temporary"),
    [
        (
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            "private_or_gone",
            False,
        ),
        (
            "git@h: Permission denied (publickey).\nfatal: Could not read from…",
            "private_or_gone",
            False,
        ),
        (
            "remote: Repository not found.\nfatal: repository 'https://h/a/' not found",
            "gone",
            False,
        ),
        ("fatal: Could not resolve host: h", "unreachable", True),
        ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", "unreachable", True),
        ("fatal: unable to access 'u': SSL certificate problem: expired", "unreachable", True),
        ("fatal: detected dubious ownership in repository at '/r'", "git_error", True),
        ("fatal: repository 'https://h/openssl/tls.git' not found", "gone", False),
        ("", "git_error", True),
    ],
)
def test_causes(text: str, reason: str, is_temporary: bool) -> None:
    cause = explain_message(text)
    assert (cause.reason, cause.is_temporary) == (reason, is_temporary)
    assert cause.detail


def test_git_is_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    check_git()
    monkeypatch.setattr(git_module, "_VERSION_MIN", (99, 0))
    with pytest.raises(CorpusError, match=r"too old; install git 99\.0"):
        check_git()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CorpusError, match="not installed"):
        check_git()
