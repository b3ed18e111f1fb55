"""What a source of Dockerfiles could not give: the tables `failures` and `coverage`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pullstudy.tables import write_table

STAGE = "corpus"


class Skipped(NamedTuple):
    """One thing that is not in the corpus; the fields are columns of table `failures`."""

    name: str
    reason: str
    reference: str | None = None
    status: int | None = None
    detail: str | None = None


def write_notes(
    folder: Path,
    skipped: Iterable[Skipped | tuple[str, str]],
    expected: int,
    present: int,
    detail: str,
) -> None:
    """Write failures.parquet and coverage.parquet beside the tables of `tabulate_dockerfiles`.

    skipped: what is no Dockerfile, (path, reason) at least; what the parser refused is added to it.
    expected, present, detail: the row of `coverage`.
    """
    rows = [*(Skipped(*entry) for entry in skipped), *_read_unparsable(folder)]
    failures = {"stage": [STAGE] * len(rows)}
    failures |= {name: [getattr(row, name) for row in rows] for name in Skipped._fields}
    coverage = {"part": [STAGE], "expected": [expected], "present": [present], "detail": [detail]}
    write_table("failures", folder / "failures.parquet", failures)
    write_table("coverage", folder / "coverage.parquet", coverage)


def _read_unparsable(folder: Path) -> list[Skipped]:
    table = pq.read_table(
        folder / "dockerfiles.parquet",
        columns=["collection", "repository", "path", "parse_failure", "parse_detail"],
        filters=~pc.field("parse_failure").is_null(),
    )
    return [
        Skipped(
            f"{row['collection']}/{row['repository']}/{row['path']}",
            row["parse_failure"],
            detail=row["parse_detail"],
        )
        for row in table.to_pylist()
    ]
