"""What pulling costs a cluster."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pullstudy.figures.style import COLOURS, count_axis, format_log, make_figure, split_rows

_CASES = {"shared_dollars": "-", "separate_dollars": "--"}
_LABELS = {"shared_dollars": "shared layers pulled once", "separate_dollars": "each image alone"}
_MARKERS = ("o", "s", "^", "D", "v", "P")


def draw_costs(costs: pd.DataFrame) -> Figure:
    """Dollars for an image of each container set by cluster size, on logarithmic axes."""
    figure, panels = make_figure(3.4, columns=2, sharey=True)
    for axes, (case, line) in zip(panels, _CASES.items(), strict=True):
        for place, (name, rows) in enumerate(split_rows(costs, "scenario")):
            by_nodes = rows.groupby("nodes")[case]
            # The middle speed; of two it is the mean.
            middle = by_nodes.median()
            colour = COLOURS[place % len(COLOURS)]
            axes.fill_between(
                middle.index, by_nodes.min(), by_nodes.max(), color=colour, alpha=0.15, linewidth=0
            )
            marker = _MARKERS[place % len(_MARKERS)]
            axes.plot(
                middle.index, middle, line, marker=marker, color=colour, markersize=4, label=name
            )
        axes.set(xlabel="nodes", yscale="log", title=_LABELS[case])
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(costs["nodes"].unique()))
        format_log(axes.xaxis, count_axis())
        format_log(axes.yaxis, FuncFormatter(lambda value, _: f"${value:,g}"))
    panels[0].set_ylabel("price of pulling one image")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4,
                  frameon=False)  # fmt: skip
    return figure
