"""How similar containers are by text and by layer digests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from pullstudy.figures.style import COLOURS, GREY, PUBLISHED, RIGHT, make_figure, percent_axis

CORPORA = {"unique_layers": "unique layers", "images": "images", "dockerfiles": "Dockerfiles"}
DEFINITIONS = {
    "right": ("right", RIGHT, "-"),
    "as_published": ("as published, computed here", PUBLISHED, "--"),
    "archive": ("the paper's own counts", GREY, ":"),
}
Colour = str | tuple[float, float, float]
FAMILY_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RELATED_COLUMNS = 4
# Longer words (paths whose slashes are gone) leave no room for the figure.
LONGEST_WORD = 13
# More names than this cannot be read along one side of a page.
MOST_NAMES = 80


def draw_cosine_histogram(histogram: pd.DataFrame) -> Figure:
    """Share of document pairs per bin of cosine similarity, by corpus and definition."""
    figure, columns = make_figure(3.1, columns=len(CORPORA))
    for axes, (corpus, title) in zip(columns, CORPORA.items(), strict=True):
        for definition, (_, colour, line) in DEFINITIONS.items():
            bins = histogram[
                (histogram["corpus"] == corpus) & (histogram["definition"] == definition)
            ]
            if len(bins):
                edges = [*bins["bin_low"], bins["bin_high"].iloc[-1]]
                axes.stairs(bins["percent"], edges, color=colour, linestyle=line, linewidth=1.6)
        axes.set(title=title, xlim=(-1, 1), xlabel="cosine similarity")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(percent_axis())
    columns[0].set_ylabel("pairs of documents")
    shown = [DEFINITIONS[name] for name in DEFINITIONS if name in set(histogram["definition"])]
    for label, colour, line in shown:
        columns[0].plot([], [], color=colour, linestyle=line, label=label)
    figure.legend(frameon=False, loc="outside upper center", ncols=len(shown))
    return figure


def draw_related_words(related: pd.DataFrame) -> Figure:
    """The nearest words of each word that was asked for, with their cosine similarity."""
    words = related["word"].unique()
    rows = -(-len(words) // RELATED_COLUMNS)
    height = 0.3 + rows * (0.75 + 0.17 * max(related["rank"].max(), 1))
    figure, grid = make_figure(height, RELATED_COLUMNS, rows, sharex=True)
    for axes, word in zip(grid, words, strict=False):
        _draw_near(axes, related[(related["word"] == word) & (related["rank"] > 0)])
        axes.set(title=word, xlim=(0, 1.05), xticks=(0, 0.5, 1))
    for axes in grid[len(words) :]:
        axes.set_axis_off()
    for axes in grid[max(len(words) - RELATED_COLUMNS, 0) : len(words)]:
        axes.set_xlabel("cosine")
        axes.tick_params(labelbottom=True)
    return figure


def _draw_near(axes: Axes, near: pd.DataFrame) -> None:
    axes.grid(visible=False, axis="y")
    if not len(near):
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not in the text", transform=axes.transAxes, ha="center")
        return
    axes.hlines(near["rank"], 0, near["cosine"], color=RIGHT, linewidth=1)
    axes.plot(near["cosine"], near["rank"], "o", color=RIGHT, markersize=4)
    axes.set_yticks(near["rank"].tolist(), [_shorten(word) for word in near["neighbour"]])
    axes.invert_yaxis()


def _shorten(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…"


def draw_image_map(points: pd.DataFrame) -> Figure:
    """Images in two dimensions by their text; colour and marker: the base they are built on."""
    figure, (axes,) = make_figure(4.4)
    families = points["family"].value_counts().index[: len(FAMILY_MARKERS)]
    known = points["family"].isin(families)
    _scatter(axes, points[points["family"].isna()], "not classified", "0.8", ".")
    _scatter(axes, points[points["family"].notna() & ~known], "other", "0.5", "+")
    for family, marker, colour in zip(families, FAMILY_MARKERS, COLOURS, strict=False):
        _scatter(axes, points[points["family"] == family], str(family), colour, marker)
    axes.set(xlabel="first component", ylabel="second component")
    figure.legend(frameon=False, loc="outside right center", title="built on", markerscale=1.5)
    return figure


def _scatter(axes: Axes, points: pd.DataFrame, label: str, colour: Colour, marker: str) -> None:
    if len(points):
        axes.plot(
            points["x"],
            points["y"],
            marker,
            color=colour,
            markersize=3.5,
            markeredgewidth=0.6 if marker in ".+" else 0,
            alpha=0.7,
            label=f"{label} ({len(points):,})",
            rasterized=True,
        )


def draw_repository_jaccard(pairs: pd.DataFrame) -> Figure:
    """Jaccard similarity of the layer digests of all repositories that share one, clustered."""
    names, matrix = _make_matrix(pairs)
    order = leaves_list(linkage(squareform(1 - matrix, checks=False), "average"))
    is_named = len(names) <= MOST_NAMES
    figure, (axes,) = make_figure(6.4)
    image = axes.imshow(
        matrix[np.ix_(order, order)], cmap="mako_r", norm=PowerNorm(0.5, 0, 1), rasterized=True
    )
    axes.grid(visible=False)
    if is_named:
        labels = [names[i] for i in order]
        axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=5)
        axes.set_yticks(range(len(names)), labels, fontsize=5)
    else:
        axes.set_xlabel(f"{len(names):,} repositories that share a layer with another")
        axes.set_ylabel("the same, in the same order")
    figure.colorbar(image, label="Jaccard similarity of layer digests", shrink=0.6)
    return figure


def _make_matrix(pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the names and the full matrix, ones on its diagonal."""
    names, codes = np.unique(pairs[["first", "second"]].astype(str), return_inverse=True)
    left, right = codes.reshape(-1, 2).T
    matrix = np.eye(len(names))
    matrix[left, right] = matrix[right, left] = pairs["jaccard"]
    return names, matrix
