"""How long all queries of a study take, against reading its tables once.

    python benchmarks/run_queries.py results/paper

Runs every workflow/sql/*.sql that the study's tables allow, one after the other in this process,
and prints the seconds of each and the ratio of their sum to one pass over all columns.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from pullstudy.query import list_views, run_query

SQL = Path(__file__).parents[1] / "workflow/sql"


def find_tables(study: Path) -> dict[str, list[Path]]:
    tables: dict[str, list[Path]] = {}
    for path in sorted((study / "tables").glob("*/*.parquet")):
        tables.setdefault(path.stem, []).append(path)
    return tables


def read_once(tables: dict[str, list[Path]]) -> float:
    started = time.perf_counter()
    for paths in tables.values():
        for path in paths:
            duckdb.execute(f"SELECT max(hash(t)) FROM read_parquet('{path}') AS t").fetchall()
    return time.perf_counter() - started


def run_all(tables: dict[str, list[Path]], folder: Path) -> dict[str, float]:
    """Run each query after those that it reads; returns seconds by query."""
    waiting = {path.stem: list_views(path) for path in SQL.glob("*.sql")}
    files = dict(tables)
    seconds: dict[str, float] = {}
    while ready := [name for name, views in waiting.items() if set(views) <= set(files)]:
        for name in sorted(ready):
            views = {view: files[view] for view in waiting.pop(name)}
            output = folder / f"{name}.parquet"
            started = time.perf_counter()
            run_query(SQL / f"{name}.sql", views, output)
            seconds[name] = time.perf_counter() - started
            files[name] = [output]
    return seconds


def main() -> None:
    tables = find_tables(Path(sys.argv[1]))
    duckdb.execute("SET threads = 1")
    with tempfile.TemporaryDirectory() as folder:
        seconds = run_all(tables, Path(folder))
    once = read_once(tables)
    for name, duration in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{duration:7.2f} s  {name}")
    total = sum(seconds.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{total:7.2f} s  all {len(seconds)} queries, one thread; peak memory {peak:.0f} MiB")
    print(f"{once:7.2f} s  reading every column once: ratio {total / once:.2f}")


if __name__ == "__main__":
    main()
