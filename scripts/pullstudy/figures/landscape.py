"""Tags, shared layers, size percentiles and base images."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pullstudy.figures.style import (
    COLOURS,
    GREY,
    HATCHES,
    PUBLISHED,
    RIGHT,
    bytes_axis,
    count_axis,
    format_log,
    make_figure,
)


def draw_tags(tags: pd.DataFrame, as_published: pd.DataFrame) -> Figure:
    """How many repositories have at least so many tags, beside what the paper counted."""
    figure, (axes,) = make_figure(3.2)
    _draw_at_least(axes, tags["tags"], "tags listed", RIGHT, "-")
    _draw_at_least(axes, as_published["tags"], "as published: layer rows", PUBLISHED, "--")
    axes.set_xlabel("tags of the repository")
    axes.set_ylabel("repositories with at least so many")
    axes.legend(frameon=False, loc="lower left")
    return figure


def _draw_at_least(
    axes: Axes, counts: pd.Series, label: str, colour: tuple[float, float, float], line: str
) -> None:
    descending = counts.sort_values(ascending=False).to_numpy()
    axes.step(descending, np.arange(1, len(descending) + 1), line, color=colour, label=label)
    axes.set(xscale="log", yscale="log")
    format_log(axes.xaxis, count_axis())
    format_log(axes.yaxis, count_axis())


def draw_layer_repetition(repetition: pd.DataFrame) -> Figure:
    """How many layers, and how many bytes of layers, are in at least so many images."""
    figure, columns = make_figure(3.2, columns=2)
    for axes, column, title in zip(
        columns, ("layers_at_least", "size_bytes_at_least"), ("layers", "bytes"), strict=True
    ):
        axes.step(repetition["images"], repetition[column], where="post", color=RIGHT)
        axes.set(xscale="log", yscale="log", xlabel="in at least so many images", title=title)
        format_log(axes.xaxis, count_axis())
    columns[0].set_ylabel("unique layers")
    format_log(columns[0].yaxis, count_axis())
    columns[1].set_ylabel("compressed size of unique layers")
    format_log(columns[1].yaxis, bytes_axis())
    return figure


def draw_size_percentiles(percentiles: pd.DataFrame, as_published: pd.DataFrame) -> Figure:
    """Image size by percentile (Table I), from the paper's subset and from this study."""
    figure, (axes,) = make_figure(3.2)
    for frame, label, line, colour in (
        (percentiles, "all repositories of this study", "o-", RIGHT),
        (as_published, "as published: the paper's subset", "s--", PUBLISHED),
    ):
        axes.plot(
            frame["percentile"], frame["size_bytes"], line, color=colour, label=label, markersize=4
        )
    axes.set(xlabel="percentile of images, one per repository", ylabel="compressed size")
    axes.set_yscale("log")
    format_log(axes.yaxis, bytes_axis())
    axes.legend(frameon=False, loc="upper left")
    return figure


def draw_base_families(families: pd.DataFrame) -> Figure:
    """Images by the distribution they are built on, with the range of the scores (Table III)."""
    figure, (left, right) = make_figure(0.9 + 0.3 * len(families), columns=2, sharey=True)
    bars = left.barh(families["family"], families["images"], color=RIGHT)
    left.bar_label(bars, fmt="{:,.0f}", padding=3)
    left.margins(x=0.15)
    left.invert_yaxis()
    left.set_xlabel("images")
    right.hlines(
        families["family"], families["score_minimum"], families["score_maximum"], color=GREY
    )
    right.plot(families["score_median"], families["family"], "o", color=RIGHT)
    right.set(xlabel="score: smallest, median, largest", xlim=(0, 1.03))
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
    return figure


def draw_base_images(base_images: pd.DataFrame) -> Figure:
    """The most named base images, with the part of the corpus that names them."""
    wide = base_images.pivot_table(
        index="image", columns="collection", values="stages", fill_value=0, observed=True
    )
    wide = wide.loc[wide.sum(axis="columns").sort_values(ascending=False).index]
    figure, (axes,) = make_figure(1.0 + 0.21 * len(wide))
    left = np.zeros(len(wide))
    for collection, colour, hatch in zip(wide.columns, COLOURS, cycle(HATCHES), strict=False):
        axes.barh(
            wide.index, wide[collection], left=left, color=colour, hatch=hatch, label=collection
        )
        left += wide[collection].to_numpy()
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("build stages that start from it")
    axes.xaxis.set_major_formatter(count_axis())
    axes.legend(frameon=False, loc="lower right")
    sns.despine(figure, left=True, bottom=True)
    return figure
