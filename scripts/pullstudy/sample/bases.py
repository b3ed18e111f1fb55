"""A made-up classification of the sample's images by base image."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pullstudy.sample.coverage import write_coverage
from pullstudy.sample.draw import Draw, Ecosystem, draw_base, read_ecosystem
from pullstudy.tables import write_empty, write_table


def write_bases(ecosystem: Path, images: Path, seed: int, folder: Path) -> None:
    """Write a classification for nine in ten of the repositories in the table `images`."""
    draw = Draw(seed, "bases")
    drawn = read_ecosystem(ecosystem)
    names = sorted(pc.unique(pq.read_table(images)["name"].cast("string")).to_pylist())
    rows = [_draw_row(draw, drawn, name) for name in names if draw.chance(0.9)]
    columns = zip(*rows, strict=True)
    names_of_columns = ("name", "base", "family", "score")
    write_table(
        "bases",
        folder / "bases.parquet",
        dict(zip(names_of_columns, map(list, columns), strict=True)),
    )
    write_coverage(folder / "coverage.parquet", ("bases",), len(names))
    write_empty("failures", folder / "failures.parquet")


def _draw_row(draw: Draw, ecosystem: Ecosystem, name: str) -> tuple[str, str, str, float]:
    base = draw_base(draw, ecosystem)
    score = max(0.5, 1 - draw.skewed(0.06, 0.9))
    return (
        name,
        f"docker.io/library/{base['family']}:{draw.one(base['tags'])}",
        base["family"],
        score,
    )
