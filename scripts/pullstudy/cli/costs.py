"""What the commands that reckon with time and money have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pullstudy.errors import ConfigError

if TYPE_CHECKING:
    from pullstudy.cost.formula import Speed

# What a node pulled of application images in the published runs: the median of `tab_wire_speed`
# is between 24 and 30.
USUAL_SPEED = "25"

Nodes = Annotated[int, typer.Option(min=1, help="Nodes that pull at the same time.")]
Price = Annotated[float, typer.Option(min=0, help="Dollars per hour of one node.")]
Bandwidth = Annotated[
    str | None,
    typer.Option(
        metavar="MB/S",
        help=f"What a node pulls in a second: 25, or 3-5; {USUAL_SPEED} when not given.",
    ),
]
Measured = Annotated[
    Path | None,
    typer.Option(
        metavar="RESULTS",
        help="Take the speeds that a study measured: results/paper, for instance.",
    ),
]


def choose_speeds(bandwidth: str | None, measured: Path | None) -> tuple[Speed, ...]:
    """Take the speeds that were given, measured, or are usual. Raises ConfigError."""
    from pullstudy.cost.formula import parse_speeds

    if measured is None:
        return parse_speeds(bandwidth or USUAL_SPEED)
    if bandwidth is not None:
        raise ConfigError("choose one of --bandwidth and --measured")
    rows = measured / "queries/pull_speed.parquet"
    if not rows.exists():
        raise ConfigError(f"{rows}: not there; name the results of a study that has run")
    from pullstudy.cost.tabulate import read_speeds

    speeds = tuple(read_speeds(rows))
    if not speeds:
        raise ConfigError(f"{measured}: this study pulled no real image; use --bandwidth")
    return speeds


def say_seconds(seconds: float) -> str:
    """Say a duration: 0.4 s, 38 s, 12 min, 3.4 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.1f} h"


def say_bytes(size_bytes: float) -> str:
    """Say a size with decimal prefixes, as registries count: 32 B, 1.2 MB, 3.66 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= 0.9995 * scale:
            return (
                f"{size_bytes / scale:.3g} {unit}"
                if size_bytes < 999.5 * scale
                else (f"{size_bytes / scale:,.0f} {unit}")
            )
    return f"{size_bytes:.0f} B"
