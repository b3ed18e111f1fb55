"""What the sample says of itself in the table `coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pullstudy.tables import write_table

# The sample cannot check what the paper says of real data: its claims come out as partial.
MADE_UP = "the data are made up: the sample shows the pipeline, it says nothing about the paper"


def write_coverage(path: Path, parts: Sequence[str], expected: int) -> None:
    """Write a table `coverage` which says of each part that it is made up."""
    rows = {
        "part": list(parts),
        "expected": [expected] * len(parts),
        "present": [0] * len(parts),
        "detail": [MADE_UP] * len(parts),
    }
    write_table("coverage", path, rows)
