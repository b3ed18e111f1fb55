"""Crawl repositories for their Dockerfiles: several at a time, each kept as soon as it is there.

A crawl that was stopped, killed or cut off goes on with the repositories that are not there yet;
those that failed for a passing cause are tried once more then.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from pullstudy.corpus.fetch import fetch_files, is_dockerfile
from pullstudy.corpus.git import Git, Processes, Stopped, Unavailable, check_git
from pullstudy.corpus.listing import Repository
from pullstudy.corpus.parts import Bounds, File, Part, Problem, lock_folder, read_part, write_part
from pullstudy.corpus.progress import ProgressDisplay
from pullstudy.errors import CorpusError

# Nothing but passing failures, so many times from the start: the network is down.
_GIVE_UP_AFTER = 20
# What another attempt a moment later may mend.
_RETRIED = frozenset(("killed", "rate_limited", "unreachable"))


@dataclass(frozen=True)
class CrawlSettings:
    """How a crawl behaves; the fields are keys of the config, but for the last.

    parallel: repositories at once. max_repositories: of those listed, drawn with `seed`; None: all.
    max_repository_mb, max_dockerfile_kb: what is taken of one repository, and how long a Dockerfile
    may be (1 MB = 1,000,000 bytes). timeout_seconds: for one repository. retry_seconds: pauses
    before another attempt after a passing failure.
    """

    parallel: int = 4
    max_repositories: int | None = None
    max_repository_mb: float = 100
    max_dockerfile_kb: float = 1000
    timeout_seconds: float = 300
    seed: int = 0
    retry_seconds: tuple[float, ...] = (2, 15)

    @property
    def bounds(self) -> Bounds:
        """What a part depends on."""
        return Bounds(int(self.max_repository_mb * 1e6), int(self.max_dockerfile_kb * 1e3))


def crawl_repositories(
    repositories: Sequence[Repository], folder: Path, settings: CrawlSettings, console: Console
) -> None:
    """Fetch the Dockerfiles of each repository into a part of its own in the folder.

    What is there already is not fetched again. A repository that cannot be had is a part too, with
    the reason. Raises CorpusError when git is missing, another crawl is at work in the folder, or
    nothing at all can be reached.
    """
    check_git()
    with lock_folder(folder) as unfinished:
        missing = list(_find_missing(repositories, folder, settings.bounds))
        found = len(repositories) - len(missing)
        parts = _Crawler(unfinished, settings).crawl(missing)
        progress = ProgressDisplay(console, "crawl", len(repositories), found)
        with progress, contextlib.closing(parts):
            is_reached, passing = found > 0, 0
            for part in parts:
                write_part(folder, part)
                progress.advance(is_failure=part.failure is not None)
                is_reached = is_reached or not part.is_temporary
                passing += part.is_temporary
                if passing >= _GIVE_UP_AFTER and not is_reached:
                    raise CorpusError(_explain_outage(part))


def _find_missing(
    repositories: Iterable[Repository], folder: Path, bounds: Bounds
) -> Iterator[Repository]:
    for repository in repositories:
        part = read_part(folder, repository.url)
        if part is None or not part.is_final(bounds):
            yield repository


def _explain_outage(part: Part) -> str:
    assert part.failure is not None
    return (
        f"{part.url}: {part.failure.detail}; nor could any other of {_GIVE_UP_AFTER} repositories "
        "be reached; check the network and run again to go on"
    )


class _Crawler:
    def __init__(self, unfinished: Path, settings: CrawlSettings) -> None:
        self._unfinished = unfinished
        self._settings = settings
        self._processes = Processes()

    def crawl(self, repositories: Iterable[Repository]) -> Generator[Part]:
        """Yield the part of each repository as it comes; ends all processes when it is left."""
        waiting = iter(repositories)
        with ThreadPoolExecutor(self._settings.parallel) as pool:
            try:
                running: set[Future[Part]] = set()
                while True:
                    free = self._settings.parallel - len(running)
                    running |= {pool.submit(self._crawl_one, r) for r in islice(waiting, free)}
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                self._processes.stop()

    def _crawl_one(self, repository: Repository) -> Part:
        pauses = iter(self._settings.retry_seconds)
        while True:
            try:
                return self._fetch(repository.url)
            except Unavailable as exc:
                pause = next(pauses, None) if exc.reason in _RETRIED else None
                if pause is None:
                    return self._describe(repository.url, exc)
            if self._processes.stopped.wait(pause):
                raise Stopped

    def _fetch(self, url: str) -> Part:
        bounds = self._settings.bounds
        repository_bytes_max = bounds.repository_bytes_max
        with tempfile.TemporaryDirectory(dir=self._unfinished) as folder:
            timeout_seconds = self._settings.timeout_seconds
            git = Git(Path(folder), repository_bytes_max, timeout_seconds, self._processes)
            fetched = fetch_files(
                git, url, is_dockerfile, bounds.dockerfile_bytes_max, repository_bytes_max
            )
        files = [File(path, content) for path, content in fetched.files]
        problems = [Problem(reason, detail, path) for path, reason, detail in fetched.refused]
        return Part(url, fetched.commit, files, problems, bounds)

    def _describe(self, url: str, cause: Unavailable) -> Part:
        problem = Problem(cause.reason, cause.detail, status=cause.status)
        return Part(url, None, [], [problem], self._settings.bounds, cause.is_temporary)
