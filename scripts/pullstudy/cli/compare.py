"""`pullstudy compare`: how much of two images is the same, level by level."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullstudy.cli.images import (
    AsJson,
    Database,
    DatabaseSha256,
    MaxFiles,
    MaxSeconds,
    MaxUnpacked,
    Mirrors,
    OnePlatform,
    PlainHttp,
    end_with_errors,
    make_settings,
    obtain_database,
    open_console,
    print_json,
    read_with_progress,
)
from pullstudy.errors import ConfigError

if TYPE_CHECKING:
    from pullstudy.bases.compare import Comparison, ImageParts
    from pullstudy.bases.database import BaseDatabase
    from pullstudy.bases.paths import ImageFiles
    from pullstudy.bases.run import RunSettings

_WIDTH_WITH_MEANINGS = 135

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help="Images (ubuntu:24.04, ghcr.io/owner/name@sha256:…, oci:FOLDER:TAG), two or more.",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option(help="Parquet file for the table.")]
NoBase = Annotated[
    bool, typer.Option("--no-base", help="Leave out the base image, and its database.")
]


def compare(
    images: Images,
    out: Out = None,
    no_base: NoBase = False,
    as_json: AsJson = False,
    database: Database = None,
    database_sha256: DatabaseSha256 = None,
    platform: OnePlatform = "linux/amd64",
    plain_http: PlainHttp = False,
    mirror: Mirrors = [],  # noqa: B006 (typer hands out copies)
    max_unpacked_gb: MaxUnpacked = 512,
    max_files: MaxFiles = 2_000_000,
    max_seconds: MaxSeconds = 3_600,
) -> None:
    """Compare images level by level: manifest, layers, files, contents, paths, base.

    Contents are hashed while the layers are streamed: nothing is written to disk and nothing is
    executed. Credentials are those of `docker login`.
    """
    if len(set(images)) < 2:
        raise ConfigError("compare: there is only one image; name another one to compare it with")
    limits = (max_unpacked_gb, max_files, max_seconds)
    settings = make_settings(platform, mirror, limits, plain_http=plain_http, with_digests=True)
    known = None if no_base else obtain_database(database, database_sha256)
    comparisons = _compare(images, settings, known)
    if as_json:
        print_json([_to_row(comparison) for comparison in comparisons])
    else:
        for comparison in comparisons:
            _print_table(comparison)
    if out is not None:
        _write_table(comparisons, out)


def _compare(
    images: list[str], settings: RunSettings, known: BaseDatabase | None
) -> list[Comparison]:
    from pullstudy.bases.compare import compare_all, describe_image

    def describe(files: ImageFiles) -> ImageParts:
        return describe_image(files, known)

    results = read_with_progress(images, settings, describe)
    end_with_errors(results.values())
    return list(compare_all(list(results.values())))


def _write_table(comparisons: list[Comparison], path: Path) -> None:
    from pullstudy.bases.tabulate import write_comparisons

    write_comparisons(comparisons, path)


def _print_table(comparison: Comparison) -> None:
    from rich.table import Table
    from rich.text import Text

    from pullstudy.bases.compare import LEVELS

    a, b = comparison.a, comparison.b
    console = open_console()
    table = Table("level", "identical", title_justify="left", title_style="")
    table.title = Text(f"A = {a.name}\nB = {b.name}")
    for column in ("same", "in A", "in B", "score", "Jaccard"):
        table.add_column(column, justify="right")
    has_room = console.width >= _WIDTH_WITH_MEANINGS
    if has_room:
        table.add_column("identical means")
    for level in comparison.levels:
        table.add_row(
            level.level,
            "yes" if level.is_identical else "no",
            *(f"{count:,}" for count in (level.shared, level.in_a, level.in_b)),
            *(f"{share:.4f}" for share in (level.score, level.jaccard)),
            *([LEVELS[level.level]] if has_room else []),
        )
    console.print(table)
    if a.base and b.base and a.base != b.base:
        print(f"base of A: {a.base}\nbase of B: {b.base}")


def _to_row(comparison: Comparison) -> dict[str, Any]:
    a, b = comparison.a, comparison.b
    return {
        "a": {"image": a.name, "digest": a.manifest, "base": a.base},
        "b": {"image": b.name, "digest": b.manifest, "base": b.base},
        "levels": [asdict(level) for level in comparison.levels],
    }
