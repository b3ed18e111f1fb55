"""What the commands that read images have in common: options, limits, the line of progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullstudy.cli.harvest import Mirrors, PlainHttp, split_mirror
from pullstudy.errors import PullstudyError

if TYPE_CHECKING:
    from rich.console import Console

    from pullstudy.bases.database import BaseDatabase
    from pullstudy.bases.paths import ImageFiles
    from pullstudy.bases.run import Display, RunSettings, Watch

__all__ = ["Mirrors", "PlainHttp"]

_REFRESH_SECONDS = 0.2
# What a program reads is not wrapped.
_PLAIN_WIDTH = 200

Database = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Base images: address, tarball or folder; shpc-guts, pinned, when not given.",
    ),
]
DatabaseSha256 = Annotated[
    str | None, typer.Option(help="What SOURCE's files must have; not checked when not given.")
]
OnePlatform = Annotated[str, typer.Option("--platform", help="Taken from multi-platform images.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MaxUnpacked = Annotated[
    float, typer.Option("--max-unpacked-gb", min=0.001, help="Most unpacked GB of an image.")
]
MaxFiles = Annotated[int, typer.Option(min=1, help="Most files and folders of an image.")]
MaxSeconds = Annotated[float, typer.Option(min=1, help="Most seconds for an image.")]


def make_settings(
    platform: str,
    mirrors: list[str],
    limits: tuple[float, int, float],
    *,
    plain_http: bool,
    with_digests: bool,
) -> RunSettings:
    """Turn options into settings; limits: unpacked GB, files, seconds. Raises ConfigError."""
    from pullstudy.bases.limits import ReadLimits
    from pullstudy.bases.paths import ReadSettings
    from pullstudy.bases.run import RunSettings
    from pullstudy.registry.plan import HarvestSettings, check_endpoint
    from pullstudy.registry.platforms import parse_platform

    unpacked_gb, files, seconds = limits
    reading = ReadLimits(
        unpacked_bytes_max=round(unpacked_gb * 1e9), entries_max=files, seconds_max=seconds
    )
    endpoints = {name: check_endpoint(url) for name, url in map(split_mirror, mirrors)}
    return RunSettings(
        HarvestSettings(plain_http=plain_http, endpoints=endpoints),
        parse_platform(platform),
        ReadSettings(reading, with_digests=with_digests),
    )


def obtain_database(source: str | None, sha256: str | None) -> BaseDatabase:
    """Load the database of base images; the default one must have its pinned checksum."""
    from pullstudy.bases.database import DATABASE_SHA256, DATABASE_URL, load_database

    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(base) / "pullstudy" / "archives"
    if source is None:
        return load_database(DATABASE_URL, DATABASE_SHA256, cache)
    return load_database(source, sha256, cache)


def read_with_progress(
    names: list[str], settings: RunSettings, use: Callable[[ImageFiles], Any]
) -> dict[str, Any]:
    """Read images, with a line of progress where somebody watches; errors are results."""
    from rich.console import Console

    from pullstudy.bases.run import read_images

    console = Console(stderr=True)
    display = _make_display(console) if console.is_terminal else None
    return read_images(names, settings, use, display)


def end_with_errors(results: Iterable[Any]) -> None:
    """Print each image's error, and end with status 1 if there is one."""
    errors = [result for result in results if isinstance(result, PullstudyError)]
    for error in errors:
        print(f"pullstudy: {error}", file=sys.stderr)
    if errors:
        raise typer.Exit(1)


def print_json(document: object) -> None:
    """Print a document as JSON; names that are not UTF-8 are no obstacle."""
    import json

    print(json.dumps(document, indent=2))


def open_console() -> Console:
    """Return the console for tables."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def _make_display(console: Console) -> Display:
    import asyncio

    async def show(watch: Watch) -> None:
        with console.status("") as status:
            while True:
                status.update(_describe(watch))
                await asyncio.sleep(_REFRESH_SECONDS)

    return show


def _describe(watch: Watch) -> str:
    from rich.markup import escape

    return ", ".join(
        f"{escape(name)}: {p.layers_done} of {p.layers} layers, {p.fetched_bytes / 1e6:,.0f} MB"
        for name, p in watch.items()
    )
