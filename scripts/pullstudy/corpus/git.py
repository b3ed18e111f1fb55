"""Run git on repositories of strangers: bounded in time and bytes, and without any question.

No prompt, no credential helper, no hook, no submodule, no transport that runs commands; what the
user's git configuration says of proxies and certificates holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pullstudy.corpus.listing import SCHEMES
from pullstudy.errors import CorpusError

# `git fetch --stdin` came with git 2.29.
_VERSION_MIN = (2, 29)
_SETTINGS = {
    "core.askPass": "",
    # Blobs above it are written through, not held in memory.
    "core.bigFileThreshold": "4m",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "credential.helper": "",
    # Promised objects are fetched as git itself does it (promisor-remote.c).
    "fetch.negotiationAlgorithm": "noop",
    "gc.auto": "0",
    # A connection that stalls ends by itself, also when nobody watches it any more.
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "submodule.recurse": "false",
}
_ENVIRONMENT = {
    "GCM_INTERACTIVE": "never",
    "GIT_ASKPASS": "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
    "SSH_ASKPASS_REQUIRE": "never",
}
# Of what `git rev-parse --local-env-vars` lists, that which points git to another repository.
_LOCAL_VARIABLES = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    )
)
# A file that grows beyond the limit (in blocks of 512 bytes: POSIX) is a write error to git.
_BOUND_FILES = 'trap "" XFSZ; ulimit -c 0; ulimit -f "$1" 2>/dev/null; shift; exec "$@"'
_CLONE_OPTIONS = (
    "--quiet",
    "--bare",
    # A local path would be copied whole without it.
    "--no-local",
    "--depth=1",
    "--filter=blob:none",
    "--no-tags",
    "--single-branch",
    "--origin=origin",
    # No hooks of the user's.
    "--template=",
)
_MESSAGE_BYTES_MAX = 8192

# What git prints, in the C locale, by cause; where several fit, the first holds.
_CAUSES = (
    # GitHub asks for a password also where there is nothing.
    ("private_or_gone", False, r"could not read Username|Authentication failed|Permission denied"),
    (
        "gone",
        False,
        r"does not appear to be a git repository|repository .* (not found|does not exist)|"
        r"no such (repository|project)",
    ),
    (
        "unreachable",
        True,
        r"could not resolve|failed to connect|connection (refused|reset|timed out|closed)|"
        r"timed out|too slow|early EOF|unexpected disconnect|hung up|RPC failed|"
        r"unable to connect|network is unreachable|no route to host|empty reply|"
        r"transfer closed|\bSSL\b|\bTLS\b|gnutls_",
    ),
)
_REASONS = {401: "private_or_gone", 403: "denied", 404: "gone", 410: "gone", 451: "blocked"}


class Stopped(Exception):
    """The crawl was asked to stop: what git said since then means nothing."""


class Unavailable(CorpusError):
    """A repository cannot be had: `reason` in a word, and whether it may be different later."""

    def __init__(
        self, reason: str, detail: str, *, status: int | None = None, is_temporary: bool = False
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.status = status
        self.is_temporary = is_temporary


class Processes:
    """The running git processes of a crawl, so that all can be stopped at once."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Take up a process that leads a group of its own."""
        with self._lock:
            self._running.add(process.pid)
        if self.stopped.is_set():
            self.kill(process)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process with all its children."""
        with self._lock:
            if process.pid in self._running:
                _kill_group(process.pid)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End a process if it still runs; its number may be another's from then on."""
        self.kill(process)
        with self._lock:
            self._running.discard(process.pid)
        process.wait()

    def stop(self) -> None:
        """End all processes, and every one that is still to come."""
        self.stopped.set()
        with self._lock:
            for group in self._running:
                _kill_group(group)


class Git:
    """Git for one repository, whose copy is made below `folder`.

    bytes_max: of any file that git writes, packs included. seconds_max: for all commands together.
    Commands raise Unavailable, or Stopped.
    """

    def __init__(
        self, folder: Path, bytes_max: int, seconds_max: float, processes: Processes
    ) -> None:
        self._repository = folder / "repository.git"
        self._folder = folder
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._deadline = time.monotonic() + seconds_max
        self._processes = processes

    def clone(self, url: str) -> None:
        """Copy commit and trees of the newest state of the default branch, without any file."""
        with self._open(["clone", *_CLONE_OPTIONS, "--", url, str(self._repository)]) as stdout:
            stdout.read()

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a command on the copy to its end and return what it printed."""
        with self.open(*arguments, stdin=stdin) as stdout:
            return stdout.read()

    @contextlib.contextmanager
    def open(self, *arguments: str, stdin: bytes = b"") -> Iterator[IO[bytes]]:
        """Run a command on the copy and give its output, to be read to the end or not at all."""
        with self._open([f"--git-dir={self._repository}", *arguments], stdin) as stdout:
            yield stdout

    @contextlib.contextmanager
    def _open(self, arguments: list[str], stdin: bytes = b"") -> Iterator[IO[bytes]]:
        remaining = self._deadline - time.monotonic()
        timed_out = threading.Event()
        messages = self._folder / "messages"
        with self._start(arguments, stdin, messages) as process:
            timer = threading.Timer(max(remaining, 0), self._time_out, (process, timed_out))
            timer.start()
            try:
                assert process.stdout is not None
                yield process.stdout
                process.wait()
            except Unavailable:
                # Output that was cut off is no fault of the repository.
                self._check_interrupted(timed_out)
                raise
            finally:
                timer.cancel()
                self._processes.end(process)
        self._check_interrupted(timed_out)
        if process.returncode:
            raise self._explain(process.returncode, messages)

    def _check_interrupted(self, timed_out: threading.Event) -> None:
        if self._processes.stopped.is_set():
            raise Stopped
        if timed_out.is_set():
            detail = f"not done within {self._seconds_max:g} s"
            raise Unavailable("timeout", detail, is_temporary=True)

    def _start(self, arguments: list[str], stdin: bytes, messages: Path) -> subprocess.Popen[bytes]:
        given = self._folder / "stdin"
        given.write_bytes(stdin)
        settings = [text for item in _SETTINGS.items() for text in ("-c", "=".join(item))]
        command = ["git", *settings, *arguments]
        blocks = str(self._bytes_max // 512 + 1)
        with given.open("rb") as source, messages.open("wb") as errors:
            process = subprocess.Popen(
                ["sh", "-c", _BOUND_FILES, "sh", blocks, *command],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_make_environment(),
                start_new_session=True,
            )
        self._processes.add(process)
        return process

    def _time_out(self, process: subprocess.Popen[bytes], timed_out: threading.Event) -> None:
        timed_out.set()
        self._processes.kill(process)

    def _explain(self, returncode: int, messages: Path) -> Unavailable:
        with messages.open("rb") as file:
            file.seek(max(0, messages.stat().st_size - _MESSAGE_BYTES_MAX))
            text = file.read().decode(errors="replace")
        if "File too large" in text:
            return Unavailable("too_large", f"more than {self._bytes_max / 1e6:g} MB")
        if returncode < 0:
            name = signal.Signals(-returncode).name
            return Unavailable("killed", f"git was ended by {name}", is_temporary=True)
        return explain_message(text)


def check_git() -> None:
    """Raise CorpusError when git is missing or too old."""
    wanted = ".".join(map(str, _VERSION_MIN))
    if shutil.which("git") is None:
        raise CorpusError(f"git is not installed; install git {wanted} or newer and run again")
    text = subprocess.run(["git", "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) < _VERSION_MIN:
        raise CorpusError(f"git {found[0]} is too old; install git {wanted} or newer and run again")


def explain_message(text: str) -> Unavailable:
    """Find the cause in what git printed (in the C locale) before it failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:", "ssh:"))]
    detail = " ".join((fatal or lines or ["git said nothing"])[0].split())[:500]
    status = re.search(r"returned error: (\d{3})", text)
    if status:
        return _explain_status(int(status[1]), detail)
    for reason, is_temporary, pattern in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return Unavailable(reason, detail, is_temporary=is_temporary)
    return Unavailable("git_error", detail, is_temporary=True)


def _explain_status(status: int, detail: str) -> Unavailable:
    """Name the cause of an HTTP status (RFC 9110, RFC 7725)."""
    if status in (429, 503):
        return Unavailable("rate_limited", detail, status=status, is_temporary=True)
    if status >= 500 or status in (408, 425):
        return Unavailable("unreachable", detail, status=status, is_temporary=True)
    return Unavailable(_REASONS.get(status, "git_error"), detail, status=status)


def _make_environment() -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in _LOCAL_VARIABLES}
    environment |= _ENVIRONMENT | {"GIT_ALLOW_PROTOCOL": ":".join(sorted(SCHEMES))}
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    return environment


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
