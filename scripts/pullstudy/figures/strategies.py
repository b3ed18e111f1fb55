"""What ways of building a set of images share, and what pulling them takes."""

from __future__ import annotations

from itertools import zip_longest
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pullstudy.figures.style import (
    COLOURS,
    HATCHES,
    MARKERS,
    PUBLISHED,
    RIGHT,
    bytes_axis,
    make_figure,
    percent_axis,
)

CACHES = {
    "all": ("all layers are kept", COLOURS[0]),
    "previous": ("only those of the image before", COLOURS[1]),
    "nothing": ("nothing is kept", COLOURS[2]),
}
MARKER_OF = dict(zip(CACHES, MARKERS, strict=False))
ORDERS: dict[str, Literal["-", "--"]] = {"best": "-", "worst": "--"}


def draw_build_strategies(strategies: pd.DataFrame) -> Figure:
    """Share of layers and bytes that are pulled anew, and Jaccard similarity, by container set."""
    places = np.arange(len(strategies))
    figure, (left, right) = make_figure(3.2, columns=2)
    for number, (column, label, colour) in enumerate(
        (
            ("unique_percent_as_published", "of layers, as published", PUBLISHED),
            ("unique_percent", "of layers, once per image", RIGHT),
            ("unique_bytes_percent", "of bytes", COLOURS[2]),
        )
    ):
        bars = left.bar(
            places + 0.27 * (number - 1), strategies[column], 0.25, color=colour, label=label,
            hatch=HATCHES[number],
        )  # fmt: skip
        left.bar_label(bars, fmt="{:.0f}", padding=2, fontsize=7)
    left.set(ylim=(0, 108), title="pulled anew")
    left.yaxis.set_major_formatter(percent_axis())
    left.set_ylabel("share of what all images hold")
    for shift, mean, deviation, label, colour in (
        (-0.1, "jaccard_mean_as_published", "jaccard_sd_as_published", "as published", PUBLISHED),
        (0.1, "jaccard_mean", "jaccard_sd", "different images only", RIGHT),
    ):
        right.errorbar(
            places + shift, strategies[mean], strategies[deviation], fmt="o", color=colour,
            capsize=3, label=label,
        )  # fmt: skip
    right.set(ylabel="Jaccard: mean, s.d.", title="shared")
    for axes in (left, right):
        axes.set_xticks(places, [name.replace("-", "-\n") for name in strategies["set_name"]])
        axes.grid(visible=False, axis="x")
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    right.set_xlim(-0.5, len(strategies) - 0.5)
    return figure


def draw_pull_orders(orders: pd.DataFrame) -> Figure:
    """Bytes pulled until the n-th image runs, by what the node keeps and by the order."""
    sets = orders["set_name"].unique()
    figure, columns = make_figure(3.4, columns=len(sets))
    for axes, name in zip(columns, sets, strict=True):
        of_set = orders[orders["set_name"] == name]
        for (cache, order), rows in of_set.groupby(["cache", "order"], observed=True):
            axes.plot(
                rows["position"],
                rows["cumulative_bytes"],
                ORDERS[order],
                marker=MARKER_OF[cache],
                markersize=3,
                color=CACHES[cache][1],
                linewidth=1.4,
            )
        axes.set(title=name, xlabel="images run")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(bytes_axis())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    columns[0].set_ylabel("bytes pulled so far")
    caches = [
        Line2D([], [], color=colour, marker=MARKER_OF[name], markersize=3, label=label)
        for name, (label, colour) in CACHES.items()
    ]
    styles = [
        Line2D([], [], linestyle=line, color="black", label=f"{order} order")
        for order, line in ORDERS.items()
    ]
    # A legend fills its columns first: so the caches stand in one row, the orders below them.
    entries = [entry for column in zip_longest(caches, styles) for entry in column if entry]
    figure.legend(handles=entries, frameon=False, loc="outside upper center", ncols=len(caches))
    return figure
