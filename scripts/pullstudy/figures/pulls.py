"""Pull times by what may matter: size, registry, disk, layers, machine."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pullstudy.figures.style import (
    GREY,
    MARKERS,
    PUBLISHED,
    RIGHT,
    bytes_axis,
    format_log,
    format_steps,
    make_figure,
    make_grid,
    ordered_colours,
    ordered_markers,
    plain_axis,
    size_label,
    split_rows,
)

STRATEGIES = {"plain": "network disk", "local_ssd": "local SSD", "streaming": "image streaming"}
_LINES = ("-", "--")
# More of them do not fit above a figure.
_LEGEND_COLUMNS = 5


def draw_sizes(sizes: pd.DataFrame) -> Figure:
    """Pull time by image size, linear above and logarithmic below, one column per strategy."""
    # Runs that vary the layers have few sizes; those that vary sizes have two layer counts.
    levels = sizes.groupby(["study", "run", "layers"])["nominal_bytes"].transform("nunique")
    shown = sizes[levels == levels.max()]
    counts = sorted(shown["layers"].value_counts().index[: len(_LINES)])
    shown = shown[shown["layers"].isin(counts)]
    strategies = [name for name in STRATEGIES if name in set(shown["strategy"])]
    columns = len(strategies)
    figure, axes = make_grid(2 * columns, columns, 2.6, sharex="row")
    colours = ordered_colours(shown["cluster_size"])
    for number, strategy in enumerate(strategies):
        linear, log = axes[number], axes[columns + number]
        for panel in (linear, log):
            _draw_size_lines(panel, shown[shown["strategy"] == strategy], counts, colours)
        linear.set_ylim(bottom=0)
        linear.set_title(STRATEGIES[strategy])
        linear.xaxis.set_major_formatter(bytes_axis())
        log.set(xscale="log", yscale="log", xlabel="nominal image size")
        format_steps(log.xaxis, bytes_axis(), room=100)
        format_steps(log.yaxis, plain_axis())
        log.tick_params(axis="x", labelsize=7)
    for panel in (axes[0], axes[columns]):
        panel.set_ylabel("median pull time [s]")
    _explain_lines(figure, axes[0], counts, colours)
    return figure


def _draw_size_lines(
    axes: Axes,
    sizes: pd.DataFrame,
    counts: list[int],
    colours: dict[int, tuple[float, float, float]],
) -> None:
    markers = ordered_markers(colours)
    groups = split_rows(sizes, "study", "run", "cluster_size", "layers")
    for (_, _, cluster_size, layers), line in groups:
        axes.plot(
            line["nominal_bytes"],
            line["median"],
            _LINES[counts.index(layers)],
            marker=markers[cluster_size],
            markersize=3,
            color=colours[cluster_size],
            linewidth=1,
            alpha=0.8,
        )


def _explain_lines(
    figure: Figure,
    axes: Axes,
    counts: list[int],
    colours: dict[int, tuple[float, float, float]],
) -> None:
    handles = [
        axes.plot([], [], f"{marker}-", color=colours[size], label=f"{size:.0f} nodes")[0]
        for size, marker in ordered_markers(colours).items()
    ]
    handles += [
        axes.plot([], [], style, color="black", label=f"{count} layers")[0]
        for count, style in zip(counts, _LINES, strict=False)
    ]
    columns = min(len(handles), _LEGEND_COLUMNS)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False)


def draw_registries(registries: pd.DataFrame) -> Figure:
    """Time from one registry over that from another, by size, each with its interval."""
    return _draw_pairs(registries, "ratio", "ratio of pull times", "baseline_registry")


def draw_disks(disks: pd.DataFrame) -> Figure:
    """Speed-up by the local SSD, and how much steadier pulls are, by size."""
    pairs = _pairs_of(disks)
    figure, axes = make_grid(2 * len(pairs), 2, 2.6)
    for number, (names, pair) in enumerate(pairs):
        for axes_of, column, label in zip(
            axes[2 * number :], ("speedup", "steadiness"), ("median", "spread"), strict=False
        ):
            _draw_ratios(axes_of, pair, column)
            axes_of.set_title(f"{label}: {names[1]} over {names[2]}")
        axes[2 * number].set_ylabel("network disk over SSD")
    _explain_clusters(figure, axes[0], disks)
    return figure


def draw_machines(machines: pd.DataFrame, as_published: pd.DataFrame) -> Figure:
    """Speed-up by the larger machine, by size, beside the mean over all pods as published."""
    pairs = _pairs_of(machines)
    figure, axes = make_grid(len(pairs), 2, 3.0)
    for panel, (_, pair) in zip(axes, pairs, strict=True):
        _draw_ratios(panel, pair, "speedup")
        first = pair.iloc[0]
        shown = as_published[
            (as_published["baseline_machine"] == first["baseline_machine"])
            & (as_published["treatment_machine"] == first["treatment_machine"])
        ]
        for speedup in shown["speedup"]:
            panel.axhline(
                speedup, color=PUBLISHED, linestyle="--", label="as published: mean over all pods"
            )
        panel.set_title(
            f"{_short(first['baseline_machine'])} over {_short(first['treatment_machine'])}"
        )
    axes[0].set_ylabel("ratio of median pull times")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def draw_layers(layers: pd.DataFrame) -> Figure:
    """Pull time by the number of layers at one size, from the fastest to the slowest node."""
    runs = split_rows(layers, "study", "run", "cluster_size")
    figure, axes = make_grid(len(runs), 2, 3.0, sharey=True, sharex=True)
    colours = ordered_colours(layers["nominal_bytes"])
    markers = ordered_markers(colours)
    for panel, ((_, run, cluster_size), frame) in zip(axes, runs, strict=True):
        for size_bytes, line in split_rows(frame, "nominal_bytes"):
            ends = [line["median"] - line["minimum"], line["maximum"] - line["median"]]
            panel.errorbar(
                line["layers"],
                line["median"],
                yerr=ends,
                fmt=f"{markers[size_bytes]}-",
                markersize=3,
                linewidth=1,
                color=colours[size_bytes],
                label=size_label(size_bytes),
            )
        panel.set(yscale="log", xlabel="layers", title=f"{run}, {cluster_size:.0f} nodes")
        format_steps(panel.yaxis, plain_axis())
    axes[0].set_ylabel("pull time [s]")
    # No run need have all sizes.
    found = {
        label: handle
        for panel in axes
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    named = {size_label(size): found[size_label(size)] for size in colours}
    figure.legend(
        named.values(), named, loc="outside upper center", ncols=_LEGEND_COLUMNS, frameon=False
    )
    return figure


def draw_wire_bytes(wire: pd.DataFrame, planned: pd.DataFrame) -> Figure:
    """Bytes on the wire by the size that was asked for: published images, and this study's plan."""
    figure, (axes,) = make_figure(3.2)
    made = planned.dropna(subset=["planned_bytes"])
    for sizes, bytes_, colour, marker, label in (
        (wire["nominal_bytes"], wire["wire_bytes"], PUBLISHED, "s", "pulled (published: zeros)"),
        (made["target_bytes"], made["planned_bytes"], RIGHT, "o", "crafted by this study"),
    ):
        axes.scatter(sizes, bytes_, color=colour, marker=marker, s=16, linewidths=0, label=label)
    ends = pd.concat([wire["nominal_bytes"], made["target_bytes"]]).agg(["min", "max"])
    axes.plot(ends, ends, "--", color=GREY, zorder=0, label="as many as the size says")
    axes.set(xscale="log", yscale="log", xlabel="nominal image size", ylabel="bytes on the wire")
    format_log(axes.xaxis, bytes_axis())
    format_log(axes.yaxis, bytes_axis())
    axes.legend()
    return figure


def _draw_pairs(frame: pd.DataFrame, column: str, label: str, level: str) -> Figure:
    pairs = _pairs_of(frame)
    figure, axes = make_grid(len(pairs), 2, 2.7, sharey=True)
    for panel, (names, pair) in zip(axes, pairs, strict=True):
        _draw_ratios(panel, pair, column)
        first = pair.iloc[0]
        other = level.replace("baseline", "treatment")
        panel.set_title(
            f"first: {first[level]} ({names[1]})\nsecond: {first[other]} ({names[2]})",
            fontsize=7,
        )
    for panel in axes[::2]:
        panel.set_ylabel(label)
    _explain_clusters(figure, axes[0], frame)
    return figure


def _pairs_of(frame: pd.DataFrame) -> list[tuple[tuple[str, str, str], pd.DataFrame]]:
    """Split into pairs of runs; crafted images only, because only they come in sizes."""
    crafted = frame[frame["kind"] == "crafted"]
    return split_rows(crafted, "study", "baseline_run", "treatment_run")


def _draw_ratios(axes: Axes, pair: pd.DataFrame, column: str) -> None:
    """Draw ratios with intervals by size, side by side for each cluster size, over the total."""
    total = pair[pair["cluster_size"].isna() & pair["nominal_bytes"].isna()]
    for row in total.to_dict("records"):
        axes.axhspan(row[f"{column}_low"], row[f"{column}_high"], color=RIGHT, alpha=0.15)
        axes.axhline(row[column], color=RIGHT, linewidth=1, label="all together")
    axes.axhline(1, color="black", linewidth=0.8)
    by_size = pair[pair["nominal_bytes"].notna()].copy()
    if by_size["cluster_size"].notna().any():
        by_size = by_size[by_size["cluster_size"].notna()]
    levels = sorted(by_size["cluster_size"].fillna(0).unique())
    colours = ordered_colours(levels)
    sizes = sorted(by_size["nominal_bytes"].unique())
    for number, level in enumerate(levels):
        points = by_size[by_size["cluster_size"].fillna(0) == level]
        places = [sizes.index(size) for size in points["nominal_bytes"]]
        shift = (number - (len(levels) - 1) / 2) * 0.2
        values = points[column].to_numpy(dtype=float)
        low = np.nan_to_num(values - points[f"{column}_low"].to_numpy(dtype=float))
        high = np.nan_to_num(points[f"{column}_high"].to_numpy(dtype=float) - values)
        axes.errorbar(
            np.array(places) + shift,
            values,
            yerr=[np.maximum(low, 0), np.maximum(high, 0)],
            fmt=MARKERS[number % len(MARKERS)],
            markersize=3,
            linewidth=1,
            color=colours[level],
            label=f"{level:.0f} nodes" if level else None,
        )
    axes.set_yscale("log")
    format_steps(axes.yaxis, plain_axis())
    _label_sizes(axes, sizes)


def _label_sizes(axes: Axes, sizes: list[int]) -> None:
    step = -(-len(sizes) // 7)
    shown = range(0, len(sizes), step)
    axes.set_xticks(list(shown), [size_label(sizes[number]) for number in shown], fontsize=7)
    axes.set_xlabel("nominal image size")
    axes.grid(visible=False, axis="x")


def _explain_clusters(figure: Figure, axes: Axes, frame: pd.DataFrame) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if frame["cluster_size"].notna().any():
        figure.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False)


def _short(machine: str) -> str:
    return machine.rpartition("/")[2]
