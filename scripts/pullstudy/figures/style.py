"""One look for all figures: sizes in print, fonts, colours, number formats."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    EngFormatter,
    Formatter,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

# Full text width of the paper.
WIDTH_INCHES = 7.0
# Okabe and Ito's palette as seaborn ships it: told apart by the colour-blind.
COLOURS = sns.color_palette("colorblind")
RIGHT, PUBLISHED, LIMIT = COLOURS[0], COLOURS[1], COLOURS[3]
GREY = "0.45"
# Beside the colours, for print in grey.
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "////", "....")
# Ends of a logarithmic axis as a ratio: below the one ticks are even, above the other decades.
_FEW_STEPS, _MANY_STEPS = 5, 1000


def make_figure(
    height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure of full width and `height` inches, with its axes row by row."""
    sns.set_theme(context="paper", style="whitegrid", palette=COLOURS)
    mpl.rcParams.update({"font.size": 9, "pdf.fonttype": 42, "axes.titleweight": "bold"})
    margins = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout=margins)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def make_grid(
    panels: int, columns: int, height: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure of full width with so many panels, row by row; each is `height` inches high."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure, axes = make_figure(height * rows, columns, rows, **options)
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def ordered_colours(levels: Iterable[Any]) -> dict[Any, tuple[float, float, float]]:
    """Give each level a colour from dark to light, in their order; none too light for paper."""
    chosen = sorted(set(levels))
    return dict(zip(chosen, sns.color_palette("viridis", len(chosen) + 1), strict=False))


def ordered_markers(levels: Iterable[Any]) -> dict[Any, str]:
    """Give each level a marker, in their order."""
    return dict(zip(sorted(set(levels)), cycle(MARKERS), strict=False))


def bytes_axis() -> EngFormatter:
    """Tick labels such as 10 MB and 1 GB (decimal prefixes, as registries count)."""
    return EngFormatter(unit="B")


def count_axis() -> FuncFormatter:
    """Tick labels such as 10,000."""
    return FuncFormatter(lambda value, _: f"{value:,.0f}")


def plain_axis() -> FuncFormatter:
    """Tick labels such as 0.1, 1.5 and 1000."""
    return FuncFormatter(lambda value, _: f"{value:g}")


def percent_axis() -> FuncFormatter:
    """Tick labels such as 5 %."""
    return FuncFormatter(lambda value, _: f"{value:g} %")


def size_label(size_bytes: float) -> str:
    """Say a size with three digits: 1.18 GB."""
    scale = 10.0 ** (3 * (int(np.log10(size_bytes)) // 3))
    return bytes_axis()(float(f"{size_bytes / scale:.3g}") * scale)


def split_rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, pd.DataFrame]]:
    """Split by the values of the columns, sorted: (value, rows), or (values, rows) of several."""
    by = columns[0] if len(columns) == 1 else list(columns)
    return list(frame.groupby(by, observed=True))


def format_steps(axis: Axis, formatter: Formatter, room: float = _MANY_STEPS) -> None:
    """Label a logarithmic axis, also between decades where its ends are at most `room` apart."""
    low, high = axis.get_view_interval()
    if high / low < _FEW_STEPS:
        axis.set_major_locator(MaxNLocator(5))
    elif high / low < room:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    format_log(axis, formatter)


def format_log(axis: Axis, formatter: Formatter) -> None:
    """Label the decades of a logarithmic axis, and nothing between them."""
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())


def draw_nothing() -> Figure:
    """A note in place of a figure whose data the study lacks."""
    figure, (axes,) = make_figure(1.2)
    axes.axis("off")
    note = "This study has no data for this figure; tab_coverage says what is missing."
    axes.text(0.5, 0.5, note, ha="center", va="center", color=GREY)
    return figure
