"""Three made-up container sets, and histograms of the paper that a made-up study does not have."""

from __future__ import annotations

import hashlib
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
    layers: list[Row] = []
    images: list[Row] = []
    for name, habit in habits["sets"].items():
        bases = [_draw_layers(draw, habit["base_layers"]) for _ in range(habit["bases"])]
        for number, application in enumerate(habits["applications"]):
            base, own = bases[number % len(bases)], _draw_layers(draw, habit["own_layers"])
            image = name, application, "latest"
            layers += [(*image, at, *layer) for at, layer in enumerate(base + own)]
            images.append((*image, *_describe(application, base, own)))
    _write_rows("container_sets", layers, folder)
    _write_rows("container_images", images, folder)
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


def _describe(application: str, base: list[Layer], own: list[Layer]) -> Row:
    """Make up what an image's config says: the same of the same layers."""
    diff_ids = [_digest_of(digest) for digest, _ in base + own]
    commands = [f"RUN install {at}" for at in range(len(base))]
    commands += [f"RUN make {application} {at}" for at in range(len(own))]
    return _digest_of("".join(diff_ids)), diff_ids, commands


def _digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _write_rows(table: str, rows: list[Row], folder: Path) -> None:
    columns = [column.name for column in TABLES[table].columns]
    cells = zip(*rows, strict=True)
    write_table(table, folder / f"{table}.parquet", dict(zip(columns, cells, strict=True)))
