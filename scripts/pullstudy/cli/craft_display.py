"""What `pullstudy craft` shows: the plan as a matrix, and how far it has come."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from pullstudy.craft.build import CraftedImage, Reporter
from pullstudy.craft.estimate import estimate_plan
from pullstudy.craft.limits import DOCKER_LAYER_LIMIT
from pullstudy.craft.plan import Plan, SkippedImage

# Where there is no screen: wide enough for every name and reason, one line for each image.
_WIDTH = 250


class CraftDisplay(contextlib.AbstractContextManager["CraftDisplay"], Reporter):
    """A line for each image, those that are skipped on stderr; on a terminal also a bar."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("generated", total=None)

    def __enter__(self) -> CraftDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, size_bytes: int, skipped: Sequence[SkippedImage]) -> None:
        """Say what is skipped, and show the bar."""
        for image in skipped:
            typer.echo(f"{image.cell.tag}  skipped: {image.reason}", err=True)
        self._progress.update(self._task, total=size_bytes)

    def add(self, size_bytes: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, size_bytes)

    def finish(self, image: CraftedImage) -> None:
        """Print the image."""
        state = "was there" if image.was_there else "made"
        typer.echo(
            f"{image.planned.cell.tag}  {image.compressed_bytes:,} bytes  "
            f"{_count_layers(image.layer_count)}  {image.digest}  {state}"
        )


def print_plan(plan: Plan) -> None:
    """Print the matrix, what is skipped and why, and what it will take."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    if plan.images:
        console.print(_tabulate(plan), "")
    if plan.skipped:
        console.print(_tabulate_skipped(plan), "")
    console.print(_summarise(plan))


def _tabulate(plan: Plan) -> Table:
    """One row for each image; only names fold on a narrow screen, numbers never."""
    matrix = Table(box=None, pad_edge=False)
    matrix.add_column("image", overflow="fold")
    has_percentiles = any(image.cell.size.percentile is not None for image in plan.images)
    for name in (*(["percentile"] * has_percentiles), "layers", "compressed", "uncompressed"):
        matrix.add_column(name, justify="right", no_wrap=True)
    # A library's result is known when it is there.
    about = "" if plan.study.level is None else "about "
    for image in plan.images:
        percentile, uncompressed = image.cell.size.percentile, image.uncompressed_bytes
        matrix.add_row(
            image.cell.tag,
            *(["" if percentile is None else f"{percentile:g}"] * has_percentiles),
            str(image.cell.layer_count),
            f"{image.compressed_bytes:,}",
            "unknown" if uncompressed is None else f"{about}{uncompressed:,}",
        )
    return matrix


def _tabulate_skipped(plan: Plan) -> Table:
    skipped = Table("skipped", "because", box=None, pad_edge=False)
    skipped.columns[0].overflow = "fold"
    for image in plan.skipped:
        skipped.add_row(image.cell.tag, image.reason)
    return skipped


def _summarise(plan: Plan) -> Table:
    total = estimate_plan(plan)
    rows = {
        "images": f"{total.image_count:,} ({total.skipped_count:,} skipped)",
        "layers": f"{total.layer_count:,} different ones",
        "bytes": f"{total.image_bytes:,} in all, {total.unpacked_bytes:,} unpacked",
        "to send": f"{total.unique_bytes:,} bytes; --push needs no disk",
        "disk": f"{total.unique_bytes:,} bytes for --output oci:DIR",
        "time": f"{_in_words(total.seconds)} to generate them here, "
        f"{_in_words(total.unique_bytes * 8 / 1e9)} to send them at 1 Gbit/s",
    }
    deep = [image for image in plan.images if image.cell.layer_count > DOCKER_LAYER_LIMIT]
    if deep:
        rows["note"] = (
            f"Docker Engine pulls up to {DOCKER_LAYER_LIMIT} layers; "
            f"images with more: {len(deep):,}, which containerd accepts"
        )
    summary = Table.grid(padding=(0, 2))
    for name, text in rows.items():
        summary.add_row(name, text)
    return summary


def _count_layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
