"""The cosine histograms that the study published: pairs of documents per bin of 0.1.

Each is a CSV file with the columns counts and cosine ("-0.5 to -0.4"). They count half of the full
matrix with its diagonal, so their sum is N² / 2 for N documents, but for what lies below -0.5.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from pullstudy.archive.members import read_members
from pullstudy.archive.published import Misfit, Row, to_columns
from pullstudy.tables import open_writers

FOLDER = "dockerfile/data/dockerfile"
HISTOGRAMS = {
    f"{FOLDER}/layer-sims-counts.csv": "unique_layers",
    f"{FOLDER}/image-similarity-histogram.csv": "images",
    f"{FOLDER}/scientific-dockerfile-image-similarity.csv": "dockerfiles",
}


def tabulate_histograms(archive: Path, folder: Path) -> None:
    """Write published_cosine, failures and coverage of an archive to a folder.

    Raises ArchiveError; a line that cannot be read is a row of `failures`.
    """
    misfits: list[Misfit] = []
    found = dict(read_members(archive, list(HISTOGRAMS)))
    rows = [
        row for path in HISTOGRAMS if path in found for row in _read(path, found[path], misfits)
    ]
    failures = [
        ("published_cosine", m.name, m.reference, None, m.reason, m.detail) for m in misfits
    ]
    coverage = [
        (
            "published_cosine",
            len(HISTOGRAMS),
            len(found),
            f"{len(found)} of {len(HISTOGRAMS)} histograms are in {FOLDER}",
        )
    ]
    tables: dict[str, list[Row]] = {
        "published_cosine": rows,
        "failures": failures,
        "coverage": coverage,
    }
    with open_writers(folder, tuple(tables)) as writers:
        for name, columns in tables.items():
            writers[name].write(to_columns(name, columns))


def _read(path: str, content: bytes, misfits: list[Misfit]) -> Iterator[Row]:
    lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    for line in lines:
        try:
            low, high = (float(edge) for edge in line["cosine"].split(" to "))
            yield HISTOGRAMS[path], low, high, float(line["counts"])
        except (KeyError, AttributeError, TypeError, ValueError) as exc:
            misfits.append(Misfit(path, f"line {lines.line_num}", "invalid_row", repr(exc)))
