"""What nodes on one machine tell: the phases of a pull, and what one change does to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pullstudy.figures.style import (
    COLOURS,
    GREY,
    PUBLISHED,
    RIGHT,
    format_steps,
    make_figure,
    make_grid,
    plain_axis,
    size_label,
    split_rows,
)

_PHASES = {
    "download_seconds": ("download", COLOURS[0]),
    "decompress_seconds": ("decompress", COLOURS[2]),
    "unpack_seconds": ("unpack", COLOURS[1]),
    "rest_seconds": ("phase not told", "0.7"),
    "start_seconds": ("start, read a share, end", COLOURS[4]),
}
_MEASURES = {"pulled": (RIGHT, "o", -0.17), "ready": (PUBLISHED, "s", 0.17)}
# Below it is rounding.
_SMALLEST_SECONDS = 1e-3
_BAR_INCHES, _MARGIN_INCHES = 0.19, 1.3


def draw_phases_by_run(phases: pd.DataFrame) -> Figure:
    """Mean seconds of each phase, a bar for each run and layer count, a panel for each size."""
    labels = phases["run"].astype(str) + phases["layers"].map(", {:.0f} layers".format)
    return _draw_bars(phases.assign(label=labels))


def draw_phases_by_nodes(phases: pd.DataFrame) -> Figure:
    """The same by cluster size, for each run that has several."""
    labels = phases["run"].astype(str) + phases["cluster_size"].map(", {:.0f}".format)
    labels += np.where(phases["cluster_size"] == 1, " node", " nodes")
    fewest = phases.groupby(["study", "run"])["layers"].transform("min")
    return _draw_bars(phases.assign(label=labels)[phases["layers"] == fewest])


def draw_changes(changes: pd.DataFrame) -> Figure:
    """How much longer a pull takes with a change than without it, each with its interval."""
    names = list(dict.fromkeys(_order_changes(changes)["change"]))
    figure, (axes,) = make_figure(_MARGIN_INCHES + 1.4 * _BAR_INCHES * len(names))
    places = {name: len(names) - 1 - number for number, name in enumerate(names)}
    for measure, (colour, marker, shift) in _MEASURES.items():
        rows = changes[changes["measure"] == measure]
        if rows.empty:
            continue
        ratios = rows["ratio"].to_numpy(dtype=float)
        low = np.nan_to_num(ratios - rows["ratio_low"].to_numpy(dtype=float))
        high = np.nan_to_num(rows["ratio_high"].to_numpy(dtype=float) - ratios)
        axes.errorbar(
            ratios,
            [places[name] - shift for name in rows["change"]],
            xerr=[np.maximum(low, 0), np.maximum(high, 0)],
            fmt=marker,
            markersize=4,
            linewidth=1.2,
            color=colour,
            label=f"until it is {measure}",
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(list(places.values()), list(places))
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set(xscale="log", xlabel="time with the change over time without it")
    format_steps(axes.xaxis, plain_axis())
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def _order_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """Put what makes a pull slowest first; levels of one factor stay together."""
    pulled = changes[changes["measure"] == "pulled"]
    level = pd.to_numeric(pulled["treatment"], errors="coerce")
    by_factor = pulled.groupby("factor", observed=True)["ratio"].transform("max")
    return pulled.assign(by_factor=by_factor, level=level).sort_values(
        ["by_factor", "factor", "ratio"], ascending=[False, True, False]
    )


def _draw_bars(phases: pd.DataFrame) -> Figure:
    sizes = split_rows(phases, "nominal_bytes")
    rows = max(frame["label"].nunique() for _, frame in sizes)
    height = _MARGIN_INCHES / 2 + _BAR_INCHES * rows
    figure, axes = make_grid(len(sizes), 2, height, sharey=True)
    labels = list(dict.fromkeys(phases["label"]))
    for number, (panel, (size_bytes, frame)) in enumerate(zip(axes, sizes, strict=True)):
        _draw_panel(panel, frame, labels)
        panel.set_title(size_label(size_bytes))
        if number >= len(sizes) - 2:
            panel.set_xlabel("mean seconds of a pull")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=5, frameon=False)
    return figure


def _draw_panel(axes: Axes, frame: pd.DataFrame, labels: list[str]) -> None:
    places = np.array([len(labels) - 1 - labels.index(label) for label in frame["label"]])
    left = np.zeros(len(frame))
    for column, (name, colour) in _PHASES.items():
        width = frame[column].fillna(0).clip(lower=0).to_numpy(dtype=float)
        if width.max() > _SMALLEST_SECONDS:
            axes.barh(places, width, 0.75, left=left, color=colour, label=name, linewidth=0)
        left += width
    # Where phases overlap, the whole takes less than they do together.
    totals = frame["pull_seconds"] + frame["start_seconds"].fillna(0)
    axes.plot(totals, places, "|", color="black", markersize=7, label="the whole")
    for place, end, total in zip(places, left, totals, strict=True):
        text = f"{total:.2f}" if total < 1 else f"{total:.1f}"
        axes.annotate(
            text, (max(end, total), place), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7, color=GREY,
        )  # fmt: skip
    axes.set_yticks(range(len(labels)), labels[::-1], fontsize=7)
    axes.set_xlim(0, max(left.max(), totals.max()) * 1.12)
    axes.grid(visible=False, axis="y")
