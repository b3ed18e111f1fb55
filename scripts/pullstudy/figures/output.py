"""Read what a figure shows, draw it, and write it as PDF and PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pullstudy.figures.style import draw_nothing
from pullstudy.files import replace_atomically

DOTS_PER_INCH = 200


def draw_files(
    draw: Callable[..., Figure], queries: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Call `draw` with one data frame per named query, and save what it draws.

    A first query without rows gives a note instead. queries: argument name -> Parquet file;
    outputs: "pdf" and "png" -> file.
    """
    frames = {name: pd.read_parquet(path) for name, path in queries.items()}
    # The first query is the one that the figure is about, and named for.
    first = next(iter(frames.values()))
    figure = draw_nothing() if first.empty else draw(**frames)
    for path in outputs.values():
        _save(figure, Path(path))


def _save(figure: Figure, path: Path) -> None:
    """Save without dates and versions: the same data give the same bytes."""
    nothing = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
    with replace_atomically(path) as partial:
        figure.savefig(partial, dpi=DOTS_PER_INCH, metadata=nothing)
