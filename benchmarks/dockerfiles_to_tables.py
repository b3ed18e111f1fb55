"""Dockerfiles to tables, against the parser alone over the same contents: at most 2 times.

    python benchmarks/dockerfiles_to_tables.py FOLDER|TARBALL [EVERY]

FOLDER or TARBALL is the published archive; EVERY = 10 takes every tenth Dockerfile. Prints the
processor time of the parser alone and of `tabulate_dockerfiles`, their ratio, and how far each
raised the peak memory of the process (contents in memory beforehand are not counted).
"""

from __future__ import annotations

import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import dockerfile

from pullstudy.archive.corpus import read_corpus
from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles

RATIO_LIMIT = 2.0


def read_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.is_dir():
        for path in sorted(archive.rglob("Dockerfile*")):
            if path.is_file():
                yield str(path.relative_to(archive)), path.read_bytes()
        return
    with tarfile.open(archive) as tarball:
        for member in tarball:
            file = tarball.extractfile(member) if "/Dockerfile" in member.name else None
            if file is not None:
                yield member.name, file.read()


def parse_only(files: list[SourceFile]) -> int:
    count = 0
    for file in files:
        try:
            count += len(dockerfile.parse_string(file.content.decode(errors="replace")))
        except dockerfile.GoParseError:
            continue
    return count


def measure(name: str, run: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    run()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"{name:<22} {processor:7.1f} s processor {wall:7.1f} s wall   peak + {grown} MiB")
    return processor


def main() -> int:
    archive = Path(sys.argv[1])
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    files = list(islice(read_corpus(read_members(archive)), 0, None, every))
    print(f"{len(files)} Dockerfiles, {sum(len(file.content) for file in files) / 1e6:.1f} MB")
    parser = measure("parser alone", lambda: parse_only(files))
    with tempfile.TemporaryDirectory() as folder:
        tables = measure("tabulate_dockerfiles", lambda: tabulate_dockerfiles(files, Path(folder)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"ratio {tables / parser:.2f} (limit {RATIO_LIMIT:.0f}), peak of the process {peak} MiB")
    return 0 if tables <= RATIO_LIMIT * parser else 1


if __name__ == "__main__":
    sys.exit(main())
