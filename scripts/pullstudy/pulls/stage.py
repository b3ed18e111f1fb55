"""Measuring pulls as a step of a study: the tables where the study looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pullstudy.pulls.backends import load_backend
from pullstudy.pulls.measure import Reporter, measure
from pullstudy.pulls.record import PULL_TABLES
from pullstudy.registry.live import copy_tables
from pullstudy.tables import write_table


def measure_stage(
    study: Path,
    backend: str,
    work: Path,
    out: Path,
    files: Mapping[str, Path],
    reporter: Reporter,
) -> None:
    """Measure a pull study in the folder `work`, where it goes on, and copy its tables to `out`.

    files: what the study may name by a word. `coverage` says how many pulls ended well. Raises
    PullstudyError.
    """
    measured = measure(study, load_backend(backend), work, reporter, files)
    copy_tables([work / f"{name}.parquet" for name in PULL_TABLES], out)
    columns = {
        "part": [f"pulls measured with {backend}"],
        "expected": [measured.pulls],
        "present": [measured.pulls - measured.failed],
        "detail": [f"{measured.failed} pulls failed" if measured.failed else "all ended well"],
    }
    write_table("coverage", out / "coverage.parquet", columns)
