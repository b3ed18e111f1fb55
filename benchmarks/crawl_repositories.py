"""How Dockerfiles are had from a git repository: the crawl's way against three others.

    PYTHONPATH=. python benchmarks/crawl_repositories.py

Over git's HTTP protocol on loopback, from a repository of 10,000 files of 8 kB, 50 of them
Dockerfiles. Prints for each way the median time of three rounds, requests and bytes sent by the
server, and the ratio of its time to that of the crawl; then the rate of a crawl of 60 small
repositories, four at once, against as many clones of depth 1. On loopback a request costs nothing
but processor time; over a network every request costs a round trip more.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from pullstudy.corpus.crawl import CrawlSettings, crawl_repositories
from pullstudy.corpus.fetch import fetch_files, is_dockerfile
from pullstudy.corpus.git import Git, Processes
from pullstudy.corpus.listing import list_urls
from tests.unit.corpus.conftest import GitServer, make_repository, serve_git

ROUNDS = 3
FILES, EVERY, FILE_BYTES = 10_000, 200, 8_000
REPOSITORIES, PARALLEL = 60, 4
PARTIAL = ("--filter=blob:none", "--depth=1", "--no-tags")


def run_git(folder: Path, *arguments: str, stdin: str = "") -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin,
        encoding="latin-1",
        capture_output=True,
        check=True,
    ).stdout


def crawl(url: str, folder: Path) -> int:
    git = Git(folder, 10**9, 600, Processes())
    return len(fetch_files(git, url, is_dockerfile, 10**6, 10**9).files)


def read_each(url: str, folder: Path) -> int:
    run_git(folder, "clone", "-q", "--bare", *PARTIAL, url, "r")
    return read_blobs(folder)


def check_out_sparsely(url: str, folder: Path) -> int:
    run_git(folder, "clone", "-q", "--no-checkout", *PARTIAL, url, "r")
    run_git(folder / "r", "sparse-checkout", "set", "--no-cone", "Dockerfile*")
    run_git(folder / "r", "checkout", "-q")
    return sum(path.is_file() for path in (folder / "r").rglob("Dockerfile*"))


def clone_whole(url: str, folder: Path) -> int:
    run_git(folder, "clone", "-q", "--bare", "--depth=1", "--no-tags", url, "r")
    return read_blobs(folder)


def read_blobs(folder: Path) -> int:
    """Read the Dockerfiles of a bare clone; git fetches each that is missing by itself."""
    listed = [line.split() for line in run_git(folder / "r", "ls-tree", "-r", "HEAD").splitlines()]
    ids = [object_id for _, _, object_id, path in listed if is_dockerfile(path.encode())]
    run_git(folder / "r", "cat-file", "--batch", stdin="\n".join(ids))
    return len(ids)


def measure(server: GitServer, way: Callable[[str, Path], int], url: str) -> tuple[float, int, int]:
    """Median seconds, requests and bytes of one way."""
    seconds = []
    for _ in range(ROUNDS):
        server.requests.clear()
        server.bytes_sent = 0
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            count = way(url, Path(folder))
            seconds.append(time.perf_counter() - started)
        assert count == FILES // EVERY, f"{way.__name__}: {count} Dockerfiles"
    return statistics.median(seconds), len(server.requests), server.bytes_sent


def compare_ways(server: GitServer) -> None:
    draw = random.Random(1)
    files = {}
    for number in range(FILES):
        name = "Dockerfile" if number % EVERY == 0 else "data.bin"
        files[f"d{number % 97}/e{number}/{name}".encode()] = draw.randbytes(FILE_BYTES)
    make_repository(server.root / "large", files)
    base = 0.0
    for way in (crawl, check_out_sparsely, clone_whole, read_each):
        seconds, requests, sent = measure(server, way, server.url("large"))
        base = base or seconds
        print(
            f"{way.__name__:<20} {seconds:6.2f} s  {requests:4} requests  {sent / 1e6:6.2f} MB"
            f"  {seconds / base:5.1f} times the crawl"
        )


def compare_rates(server: GitServer, folder: Path) -> None:
    draw = random.Random(2)
    for number in range(REPOSITORIES):
        files = {b"src/%d.c" % i: draw.randbytes(FILE_BYTES) for i in range(100)}
        make_repository(server.root / f"o/r{number}", {**files, b"Dockerfile": b"FROM a"})
    urls = [server.url(f"o/r{number}") for number in range(REPOSITORIES)]
    settings = CrawlSettings(parallel=PARALLEL)
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    started = time.perf_counter()
    crawl_repositories(list_urls(urls).repositories, folder / "parts", settings, console)
    crawled = time.perf_counter() - started
    started = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda url: clone_one(url, folder), urls))
    cloned = time.perf_counter() - started
    print(
        f"{REPOSITORIES / crawled:.1f} repositories/s crawled, {REPOSITORIES / cloned:.1f}/s cloned"
        f" with depth 1: ratio {cloned / crawled:.2f} (server and clients share the processors)"
    )


def clone_one(url: str, folder: Path) -> None:
    target = folder / url.rpartition("/")[2]
    run_git(folder, "clone", "-q", "--depth=1", "--no-tags", url, str(target))
    shutil.rmtree(target)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serve_git(Path(folder) / "served") as server:
        compare_ways(server)
        compare_rates(server, Path(folder))


if __name__ == "__main__":
    main()
