"""Compare turning the archive's registry files into tables with merely decoding them.

    python benchmarks/registry_json_to_tables.py ARCHIVE [ROUNDS]

ARCHIVE: the archive as a folder (whose files are then in the page cache) or as a tarball. Both are
measured alternately, each time in a fresh process, and the best round counts: `decode` is orjson on
bytes that are already in memory, `tables` is everything from reading to the last Parquet file.
The limit is 4 times the decoding, the aim 2.5 times.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import orjson

from pullstudy.archive.members import read_members
from pullstudy.archive.registry import REGISTRY, tabulate_registry


def time_decoding(archive: Path) -> tuple[float, float, int]:
    """Return the seconds of reading, the seconds of decoding, and the bytes of all files."""
    decode_seconds = 0.0
    size_bytes = 0
    start = time.perf_counter()
    for _, content in read_members(archive, [REGISTRY]):
        before = time.perf_counter()
        orjson.loads(content)
        decode_seconds += time.perf_counter() - before
        size_bytes += len(content)
    return time.perf_counter() - start - decode_seconds, decode_seconds, size_bytes


def time_tables(archive: Path) -> tuple[float, int]:
    """Return the seconds from the archive to all tables, and the peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        tabulate_registry(archive, Path(folder))
        seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    archive = Path(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    decoded, tabulated = [], []
    with ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for _ in range(rounds):
            decoded.append(pool.submit(time_decoding, archive).result())
            tabulated.append(pool.submit(time_tables, archive).result())
    read_seconds = min(read for read, _, _ in decoded)
    decode_seconds = min(decode for _, decode, _ in decoded)
    table_seconds = min(seconds for seconds, _ in tabulated)
    print(f"files   {decoded[0][2] / 1e6:8.1f} MB")
    print(f"read    {read_seconds:8.2f} s")
    print(f"decode  {decode_seconds:8.2f} s   (orjson)")
    print(f"tables  {table_seconds:8.2f} s   (reading included)")
    print(f"ratio   {table_seconds / decode_seconds:8.2f}     (aim 2.5, limit 4)")
    print(f"peak    {max(peak for _, peak in tabulated) / 1e6:8.0f} MB  (limit 3,000)")


if __name__ == "__main__":
    main()
