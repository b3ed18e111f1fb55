"""Three made-up container sets, and histograms of the paper that a made-up study does not have."""

from __future__ import annotations

from pathlib import Path

from pullstudy.sample.coverage import write_coverage
from pullstudy.sample.draw import Draw, read_ecosystem
from pullstudy.tables import TABLES, write_empty, write_table

Layer = tuple[str, int]
Row = tuple[object, ...]
# Unique layers, images and Dockerfiles.
PUBLISHED_HISTOGRAMS = 3


def write_strategies(ecosystem: Path, seed: int, folder: Path) -> None:
    """Write the tables of the stage `strategies`: images of a set share its bases in turn."""
    habits = read_ecosystem(ecosystem)["container_sets"]
    draw = Draw(seed, "strategies")
    rows: list[Row] = []
    for name, habit in habits["sets"].items():
        bases = [_draw_layers(draw, habit["base_layers"]) for _ in range(habit["bases"])]
        for number, application in enumerate(habits["applications"]):
            layers = bases[number % len(bases)] + _draw_layers(draw, habit["own_layers"])
            rows += [(name, application, "latest", at, *layer) for at, layer in enumerate(layers)]
    columns = [column.name for column in TABLES["container_sets"].columns]
    cells = zip(*rows, strict=True)
    path = folder / "container_sets.parquet"
    write_table("container_sets", path, dict(zip(columns, cells, strict=True)))
    write_empty("failures", folder / "failures.parquet")
    write_coverage(folder / "coverage.parquet", ["container_sets"], len(habits["sets"]))


def write_histograms(folder: Path) -> None:
    """Write the tables of the stage `histograms`: nothing of the paper's is in the sample."""
    for name in ("published_cosine", "failures"):
        write_empty(name, folder / f"{name}.parquet")
    write_coverage(folder / "coverage.parquet", ["published_cosine"], PUBLISHED_HISTOGRAMS)


def _draw_layers(draw: Draw, habit: dict[str, float]) -> list[Layer]:
    """Draw new layers, log-normal in size: their number, and the median in megabytes."""
    return [
        (draw.digest(), int(draw.skewed(habit["megabytes"] * 1e6, 1.0)))
        for _ in range(int(habit["layers"]))
    ]
