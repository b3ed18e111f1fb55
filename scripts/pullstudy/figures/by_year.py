"""Distributions by year of creation, drawn from their percentiles."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pullstudy.craft.limits import DOCKER_LAYER_LIMIT
from pullstudy.figures.style import (
    GREY,
    LIMIT,
    PUBLISHED,
    RIGHT,
    bytes_axis,
    count_axis,
    format_log,
    make_figure,
)


def draw_layers(layers: pd.DataFrame) -> Figure:
    """Layers per image by year, with the largest image of each year."""
    figure, (axes,) = make_figure(3.4)
    _draw_boxes(axes, layers, RIGHT)
    axes.axhline(DOCKER_LAYER_LIMIT, color=LIMIT, linestyle="--", linewidth=1)
    axes.annotate(
        f"Docker refuses more than {DOCKER_LAYER_LIMIT} layers",
        (layers["year"].min() - 0.45, DOCKER_LAYER_LIMIT * 1.08),
        color=LIMIT,
    )
    axes.set_ylim(top=2 * max(DOCKER_LAYER_LIMIT, layers["maximum"].max()))
    format_log(axes.yaxis, count_axis())
    axes.set_ylabel("layers per image")
    return figure


def draw_image_sizes(image_sizes: pd.DataFrame, as_published: pd.DataFrame) -> Figure:
    """Size of one image by year, beside the paper's sum over all tags of a repository."""
    return _draw_sizes(
        (image_sizes, "one image", RIGHT),
        (as_published, "as published: all tags added up", PUBLISHED),
    )


def draw_layer_sizes(layer_sizes: pd.DataFrame, as_published: pd.DataFrame) -> Figure:
    """Size of unique layers by year, beside the paper's count of shared layers many times."""
    return _draw_sizes(
        (layer_sizes, "each layer once", RIGHT),
        (as_published, "as published: once for each image", PUBLISHED),
    )


def _draw_sizes(*panels: tuple[pd.DataFrame, str, tuple[float, float, float]]) -> Figure:
    figure, columns = make_figure(3.4, columns=len(panels), sharey=True)
    for axes, (sizes, title, colour) in zip(columns, panels, strict=True):
        _draw_boxes(axes, sizes, colour)
        axes.set_title(title)
        format_log(axes.yaxis, bytes_axis())
        axes.tick_params(axis="x", rotation=45)
    columns[0].set_ylabel("compressed size")
    return figure


def _draw_boxes(axes: Axes, years: pd.DataFrame, colour: tuple[float, float, float]) -> None:
    """Draw quartile boxes with whiskers from the 5th to the 95th percentile, mean and maximum."""
    boxes = [
        {"whislo": y.p5, "q1": y.p25, "med": y.p50, "q3": y.p75, "whishi": y.p95, "mean": y.mean}
        for y in years.itertuples()
    ]
    axes.bxp(
        boxes,
        positions=years["year"].tolist(),
        widths=0.6,
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        boxprops={"facecolor": (*colour, 0.35), "edgecolor": colour},
        medianprops={"color": "black"},
        meanprops={
            "marker": "D",
            "markerfacecolor": "white",
            "markeredgecolor": "black",
            "markersize": 4,
        },
        whiskerprops={"color": colour},
        capprops={"color": colour},
        manage_ticks=False,
    )
    axes.plot(years["year"], years["maximum"], "x", color=GREY, markersize=5)
    axes.set_yscale("log")
    axes.set_xticks(years["year"].tolist())
    axes.set_xlabel("year of creation")
    axes.grid(visible=False, axis="x")
