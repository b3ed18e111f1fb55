"""What `pullstudy craft` shows: the plan as a matrix, and how far it has come."""

from __future__ import annotations

import contextlib

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from pullstudy.craft.build import CraftedImage, Reporter
from pullstudy.craft.estimate import estimate_plan
from pullstudy.craft.limits import DOCKER_PULL_LIMIT
from pullstudy.craft.plan import Plan

# Wide enough for every name: a plan is also read by other programs.
_WIDTH = 200


class CraftDisplay(contextlib.AbstractContextManager["CraftDisplay"], Reporter):
    """A line for each image; on a terminal also a bar."""

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

    def begin(self, size_bytes: int) -> None:
        """Show the bar."""
        self._progress.update(self._task, total=size_bytes)

    def add(self, size_bytes: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, size_bytes)

    def finish(self, image: CraftedImage) -> None:
        """Print the image."""
        state = "was there" if image.was_there else "made"
        typer.echo(
            f"{image.planned.cell.tag}  {image.compressed_bytes:,} bytes  "
            f"{image.layer_count} layers  {image.digest}  {state}"
        )


def print_plan(plan: Plan) -> None:
    """Print the matrix, what is skipped and why, and what it will take."""
    console = Console(width=_WIDTH, highlight=False, soft_wrap=True)
    console.print(_tabulate(plan))
    for skipped in plan.skipped:
        console.print(f"skipped: {skipped.cell.tag}: {skipped.reason}")
    deep = [image for image in plan.images if image.cell.layer_count > DOCKER_PULL_LIMIT]
    if deep:
        console.print(
            f"note: Docker Engine itself pulls up to {DOCKER_PULL_LIMIT} layers; "
            f"{len(deep)} images have more, which containerd accepts"
        )
    total = estimate_plan(plan)
    console.print(
        f"{total.image_count} images ({total.skipped_count} skipped), {total.layer_count} layers; "
        f"{total.image_bytes:,} bytes in all, {total.unpacked_bytes:,} unpacked\n"
        f"to send, or to keep in oci:DIR: {total.unique_bytes:,} bytes; --push needs no disk\n"
        f"time to generate them here: {_in_words(total.seconds)}; "
        f"to send them at 1 Gbit/s: {_in_words(total.unique_bytes * 8 / 1e9)}"
    )


def _tabulate(plan: Plan) -> Table:
    matrix = Table("image", "target", "layers", "compressed", "uncompressed", box=None)
    # A library's result is known when it is there.
    about = "" if plan.study.level is None else "about "
    for image in plan.images:
        uncompressed = image.uncompressed_bytes
        matrix.add_row(
            image.cell.tag,
            f"{image.cell.size.total_bytes:,}",
            str(image.cell.layer_count),
            f"{image.compressed_bytes:,}",
            "unknown" if uncompressed is None else f"{about}{uncompressed:,}",
        )
    for column in matrix.columns[1:]:
        column.justify = "right"
    return matrix


def _in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
