"""`pullstudy bases`: find the base of images by the paths of their files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

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

if TYPE_CHECKING:
    from pullstudy.bases.database import BaseDatabase
    from pullstudy.bases.paths import ImageFiles, ReadProgress
    from pullstudy.bases.run import RunSettings
    from pullstudy.bases.score import Classification

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help="Images (ubuntu:24.04, ghcr.io/owner/name@sha256:…, oci:FOLDER:TAG).",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for tables: bases, base_scores, failures, coverage."),
]
Top = Annotated[int, typer.Option(min=1, help="Show so many bases of each image.")]


def bases(
    images: Images,
    out: Out = None,
    top: Top = 1,
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
    """Find the most similar base image of images by the paths of their files.

    Layers are streamed and only the headers in them are read: nothing is written to disk and
    nothing is executed. Credentials are those of `docker login`.
    """
    limits = (max_unpacked_gb, max_files, max_seconds)
    settings = make_settings(platform, mirror, limits, plain_http=plain_http, with_digests=False)
    known = obtain_database(database, database_sha256)
    results = _classify(images, settings, known)
    found = [result for result in results.values() if isinstance(result, _Classified)]
    if as_json:
        rows = [_describe(result, top) for result in found]
        print_json({"database_sha256": known.sha256, "images": rows})
    elif found:
        _print_table([result.classification for result in found], top)
    if out is not None:
        _write_tables(results, out)
    end_with_errors(results.values())


class _Classified(NamedTuple):
    """A classification, and what it took."""

    classification: Classification
    digest: str
    progress: ReadProgress


def _classify(images: list[str], settings: RunSettings, known: BaseDatabase) -> dict[str, Any]:
    from pullstudy.bases.score import classify_paths

    def classify(files: ImageFiles) -> _Classified:
        classification = classify_paths(files.image.name, files.paths, known)
        return _Classified(classification, files.image.digest, files.progress)

    return read_with_progress(images, settings, classify)


def _write_tables(results: dict[str, Any], folder: Path) -> None:
    from pullstudy.bases.tabulate import write_classifications

    bare = {
        name: result.classification if isinstance(result, _Classified) else result
        for name, result in results.items()
    }
    write_classifications(bare, folder)


def _print_table(found: list[Classification], top: int) -> None:
    from rich.table import Table

    table = Table()
    for title in ("image", "base"):
        table.add_column(title, overflow="fold")
    for title in ("score", "Jaccard", "shared", "known", "paths"):
        table.add_column(title, justify="right")
    for c in found:
        paths = f"{c.image_paths:,}"
        if c.best is None:
            table.add_row(_plain(c.name), "none: no path is known", "", "", "", "", paths)
        for score in c.scores[:top]:
            table.add_row(
                _plain(c.name),
                _plain(score.base),
                f"{score.score:.4f}",
                f"{score.jaccard:.4f}",
                f"{score.shared_paths:,}",
                f"{c.known_paths:,}",
                paths,
            )
    open_console().print(table)
    for c in found:
        if c.best is not None and c.closest is not None and c.closest != c.best:
            print(
                f"{c.name}: by the Jaccard index {c.closest.base} is closer "
                f"({c.closest.jaccard:.4f} against {c.best.jaccard:.4f})"
            )


def _plain(text: str) -> Any:
    """A text in which brackets are no markup."""
    from rich.text import Text

    return Text(text)


def _describe(result: _Classified, top: int) -> dict[str, Any]:
    c, progress = result.classification, result.progress
    return {
        "image": c.name,
        "digest": result.digest,
        "base": c.best.base if c.best else None,
        "score": c.best.score if c.best else None,
        "jaccard": c.best.jaccard if c.best else None,
        "closest_by_jaccard": c.closest.base if c.closest else None,
        "image_paths": c.image_paths,
        "known_paths": c.known_paths,
        "layers": progress.layers,
        "layers_by_table_of_contents": progress.tocs,
        "fetched_bytes": progress.fetched_bytes,
        "scores": [asdict(score) for score in c.scores[:top]],
    }
