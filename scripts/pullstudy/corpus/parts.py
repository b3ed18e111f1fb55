"""What is known of each crawled repository: one file per repository, whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from pullstudy.corpus.listing import file_stem
from pullstudy.errors import CorpusError
from pullstudy.files import replace_atomically

# Written into each part: a part of another form, or found by other names, is fetched again.
FORM = 1
SUFFIX = ".msgpack"


class File(msgspec.Struct, frozen=True):
    """One file: its path in the repository, as bytes, and its content."""

    path: bytes
    content: bytes


class Problem(msgspec.Struct, frozen=True):
    """Why a file, or without a path the whole repository, is missing."""

    reason: str
    detail: str
    path: bytes | None = None
    status: int | None = None


class Bounds(msgspec.Struct, frozen=True):
    """Bytes that are taken of one repository at most, and that a Dockerfile may have."""

    repository_bytes_max: int
    dockerfile_bytes_max: int


class Part(msgspec.Struct, frozen=True):
    """One repository as it was crawled; `commit` is None when it could not be had."""

    url: str
    commit: str | None
    files: list[File]
    problems: list[Problem]
    bounds: Bounds
    is_temporary: bool = False
    form: int = FORM

    @property
    def failure(self) -> Problem | None:
        """Why the whole repository is missing."""
        return next((problem for problem in self.problems if problem.path is None), None)

    def is_final(self, bounds: Bounds) -> bool:
        """Whether fetching it again within these bounds would give the same."""
        is_bounded = any("too_large" in problem.reason for problem in self.problems)
        is_same = self.form == FORM and not self.is_temporary
        return is_same and (self.bounds == bounds or not is_bounded)


def path_of_part(folder: Path, url: str) -> Path:
    """Where the part of a repository stands."""
    return folder / f"{file_stem(url)}{SUFFIX}"


def write_part(folder: Path, part: Part) -> None:
    """Write a part; it appears whole or not at all."""
    with replace_atomically(path_of_part(folder, part.url)) as partial:
        partial.write_bytes(msgspec.msgpack.encode(part))


def read_part(folder: Path, url: str) -> Part | None:
    """Read the part of a repository; None when there is none that can be read."""
    try:
        return msgspec.msgpack.decode(path_of_part(folder, url).read_bytes(), type=Part)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _lock(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise CorpusError(f"{folder}: another crawl is at work here; wait for its end") from exc
    except OSError:
        # Some network file systems have no locks: two crawls there are the user's to avoid.
        return


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[Path]:
    """Keep the parts to this process; gives an empty folder beside them for what is unfinished.

    Raises CorpusError when another process has them. The lock ends with the process, however it
    ends; what a killed one left unfinished is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        _lock(file, folder)
        for stale in folder.glob(".unfinished-*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=".unfinished-", dir=folder, ignore_cleanup_errors=True
        ) as unfinished:
            yield Path(unfinished)
