"""Best practices kept and broken."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pullstudy.figures.style import COLOURS, GREY, PUBLISHED, RIGHT, make_figure, percent_axis

ALL = "all"
MARKERS = ("o", "s", "^", "D", "v", "P")


def draw_practices(practices: pd.DataFrame) -> Figure:
    """Share of each habit: a line over the range of the collections, a marker for each."""
    wide = practices.pivot_table(
        index="practice", columns="collection", values="percent", observed=True
    )
    wide = wide.sort_values(ALL, ascending=False)
    labels = [name.replace("_", " ") for name in wide.index]
    collections = [name for name in wide.columns if name != ALL]
    figure, (axes,) = make_figure(1.0 + 0.22 * len(wide))
    axes.hlines(labels, wide.min(axis="columns"), wide.max(axis="columns"), color=GREY, linewidth=1)
    for collection, marker, colour in zip(collections, MARKERS, COLOURS, strict=False):
        axes.plot(
            wide[collection],
            labels,
            marker,
            color=colour,
            label=collection,
            markersize=4,
            alpha=0.9,
        )
    axes.plot(wide[ALL], labels, "|", color="black", label=ALL, markersize=10, markeredgewidth=2)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(percent_axis())
    axes.set_xlabel("share")
    axes.legend(frameon=False, loc="lower right")
    return figure


def draw_apt_history(right: pd.DataFrame, as_published: pd.DataFrame) -> Figure:
    """Habits with apt-get in the history of images, by both definitions."""
    rows = len(right) + len(as_published) + 1
    figure, (axes,) = make_figure(1.1 + 0.26 * rows)
    first = 0
    for frame, colour, label in (
        (right, RIGHT, "right: commands, each different layer once"),
        (as_published, PUBLISHED, "as published: text searches in all history lines"),
    ):
        positions = range(first, first + len(frame))
        bars = axes.barh(positions, frame["percent"], height=0.7, color=colour, label=label)
        axes.bar_label(bars, fmt="{:.1f} %", padding=3)
        first += len(frame) + 1
    names = [*right["practice"], "", *as_published["practice"]]
    axes.set_yticks(range(rows), [name.replace("_", " ") for name in names])
    axes.invert_yaxis()
    axes.set(xlim=(0, 112), xlabel="share of the occasions that tab_apt_history names")
    axes.xaxis.set_major_formatter(percent_axis())
    axes.grid(visible=False, axis="y")
    figure.legend(frameon=False, loc="outside upper center", ncols=2)
    return figure
