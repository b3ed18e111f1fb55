"""What clusters do while they pull: strategies, nodes, whole experiments, larger clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pullstudy.figures.pulls import STRATEGIES
from pullstudy.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    PUBLISHED,
    RIGHT,
    bytes_axis,
    count_axis,
    format_log,
    format_steps,
    make_grid,
    ordered_colours,
    ordered_markers,
    plain_axis,
    size_label,
    split_rows,
)

_COLOUR_OF = dict(zip(STRATEGIES, COLOURS, strict=False))
_MEASURES = {"pull_seconds": "pull, by the kubelet's event [s]", "job_seconds": "whole job [s]"}
_SIZES_SHOWN = 5
# Light beside what is done, also in print.
_WAITING = "0.8"


def draw_strategies(times: pd.DataFrame) -> Figure:
    """Pull and whole job, streamed and not: crafted images above, applications below."""
    shown = _comparable(times)
    kinds = [kind for kind in ("crafted", "application") if kind in set(shown["kind"])]
    figure, axes = make_grid(2 * len(kinds), 2, 2.7, sharey="row")
    clusters = sorted(shown["cluster_size"].dropna().unique())
    for row, kind in enumerate(kinds):
        for column, measure in enumerate(_MEASURES):
            panel, rows = axes[2 * row + column], shown[shown["kind"] == kind]
            if kind == "crafted":
                _draw_crafted(panel, rows, measure, clusters)
            else:
                _draw_applications(panel, rows, measure, clusters)
    _explain_strategies(figure, axes[0], shown, clusters)
    return figure


def _comparable(times: pd.DataFrame) -> pd.DataFrame:
    """Choose the runs from registries that were also streamed from; all if none was."""
    streamed = times[times["strategy"] == "streaming"]
    registries = set(zip(streamed["study"], streamed["registry"], strict=True))
    same = [key in registries for key in zip(times["study"], times["registry"], strict=True)]
    return times[same] if registries else times


def _draw_crafted(axes: Axes, rows: pd.DataFrame, measure: str, clusters: list[float]) -> None:
    groups = split_rows(rows, "strategy", "cluster_size")
    for (strategy, cluster_size), line in groups:
        axes.plot(
            line["nominal_bytes"],
            line[measure],
            MARKERS[clusters.index(cluster_size)],
            color=_COLOUR_OF[strategy],
            markersize=3,
            alpha=0.8,
        )
    axes.set(xscale="log", yscale="log", xlabel="nominal image size", title=_MEASURES[measure])
    format_steps(axes.xaxis, bytes_axis(), room=100)
    format_steps(axes.yaxis, plain_axis())
    if measure == "pull_seconds":
        axes.set_ylabel("crafted images [s]")


def _draw_applications(axes: Axes, rows: pd.DataFrame, measure: str, clusters: list[float]) -> None:
    names = sorted(rows["subject"].unique())
    shift = {"plain": 0.15, "streaming": -0.15}
    groups = split_rows(rows, "strategy", "cluster_size")
    for (strategy, cluster_size), points in groups:
        axes.plot(
            [names.index(name) + shift.get(strategy, 0.0) for name in points["subject"]],
            points[measure],
            MARKERS[clusters.index(cluster_size)],
            color=_COLOUR_OF[strategy],
            markersize=4,
            alpha=0.8,
        )
    labels = [name.partition(":")[0].removeprefix("ensemble-") for name in names]
    if len(set(labels)) < len(labels):
        labels = [name.partition(":")[2] for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=30, ha="right", fontsize=7)
    axes.set(yscale="log", xlabel="application")
    format_steps(axes.yaxis, plain_axis())
    if measure == "pull_seconds":
        axes.set_ylabel("applications [s]")


def _explain_strategies(
    figure: Figure, axes: Axes, shown: pd.DataFrame, clusters: list[float]
) -> None:
    handles = [
        axes.plot([], [], "o", color=colour, label=STRATEGIES[name])[0]
        for name, colour in _COLOUR_OF.items()
        if name in set(shown["strategy"])
    ]
    handles += [
        axes.plot([], [], marker, color=GREY, label=f"{size:.0f} nodes")[0]
        for marker, size in zip(MARKERS, clusters, strict=False)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)


def draw_coordination(nodes: pd.DataFrame) -> Figure:
    """What each node does while clusters pull one image, a line per node."""
    chosen = _choose_image(nodes)
    sizes = sorted(chosen["cluster_size"].unique())
    figure, axes = make_grid(len(sizes), 3, 3.2, sharex=True)
    for panel, size in zip(axes, sizes, strict=True):
        rows = chosen[chosen["cluster_size"] == size].sort_values("started_seconds")
        places = np.arange(1, len(rows) + 1)
        for first, last, colour, label in (
            ("scheduled_seconds", "started_seconds", _WAITING, "waits"),
            ("started_seconds", "pulled_seconds", RIGHT, "pulls"),
            ("pulled_seconds", "ready_seconds", PUBLISHED, "starts the container"),
        ):
            width = max(1.0, 120 / len(rows) / 2)
            panel.hlines(
                places, rows[first], rows[last], color=colour, label=label, linewidth=min(width, 5)
            )
        panel.set(xlabel="seconds since the first pod", title=f"{size:.0f} nodes")
        panel.set_ylim(0.3, len(rows) + 0.7)
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(visible=False, axis="y")
    axes[0].set_ylabel("node, by start of its pull")
    run, size_bytes = chosen.iloc[0][["run", "nominal_bytes"]]
    figure.suptitle(f"{run}: an image of {size_label(size_bytes)} on all nodes", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _choose_image(nodes: pd.DataFrame) -> pd.DataFrame:
    """Choose the largest crafted image of the first run on the largest cluster, not streamed."""
    crafted = nodes[(nodes["kind"] == "crafted") & (nodes["strategy"] != "streaming")]
    crafted = crafted.dropna(subset=["scheduled_seconds", "ready_seconds"])
    largest = crafted[crafted["cluster_size"] == crafted["cluster_size"].max()]
    first = largest.sort_values(["study", "run", "nominal_bytes"]).groupby(["study", "run"])
    study, run = next(iter(first.groups))
    of_run = crafted[(crafted["study"] == study) & (crafted["run"] == run)]
    shared = of_run.groupby("subject", observed=True)["cluster_size"].nunique()
    common = of_run[of_run["subject"].isin(shared[shared == shared.max()].index)]
    subject = common.sort_values(["nominal_bytes", "subject"]).iloc[-1]["subject"]
    return common[common["subject"] == subject]


def draw_spreads(spreads: pd.DataFrame) -> Figure:
    """Time from the first node's end to the last's, against chance, and the wait it costs."""
    figure, (left, right) = make_grid(2, 2, 3.2)
    colours = ordered_colours(spreads["cluster_size"])
    markers = ordered_markers(colours)
    known = spreads.dropna(subset=["finish_spread_seconds", "expected_finish_spread_seconds"])
    for size, points in split_rows(known, "cluster_size"):
        left.plot(
            points["expected_finish_spread_seconds"],
            points["finish_spread_seconds"],
            markers[size],
            markersize=3,
            alpha=0.6,
            color=colours[size],
            label=f"{size:.0f} nodes",
        )
    ends = known["expected_finish_spread_seconds"].agg(["min", "max"])
    left.plot(ends, ends, color="black", linewidth=0.8)
    left.set(xscale="log", yscale="log")
    left.set(xlabel="spread by chance alone [s]", ylabel="first to last end, observed [s]")
    for axis in (left.xaxis, left.yaxis):
        format_log(axis, plain_axis())
    sizes = sorted(colours)
    shares = [spreads.loc[spreads["cluster_size"] == n, "wait_share"].dropna() for n in sizes]
    boxes = right.boxplot(shares, tick_labels=[f"{n:.0f}" for n in sizes], patch_artist=True,
                          flierprops={"markersize": 2}, medianprops={"color": "black"})  # fmt: skip
    for box, size in zip(boxes["boxes"], sizes, strict=True):
        box.set(facecolor=(*colours[size], 0.5), edgecolor=colours[size])
    right.set(ylim=(0, None), xlabel="nodes")
    right.set_ylabel("wait for the last / pull time")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6,
                  frameon=False)  # fmt: skip
    return figure


def draw_experiments(experiments: pd.DataFrame) -> Figure:
    """Time of whole experiments by cluster size, and the slowest pulls that are in it."""
    kinds = [kind for kind in ("crafted", "application") if kind in set(experiments["kind"])]
    measures = {
        "experiment_seconds": "first pod to last start [s]",
        "slowest_pull_seconds": "slowest pulls, added up [s]",
    }
    figure, axes = make_grid(2 * len(kinds), len(kinds), 2.5, sharex=True)
    runs = sorted({(r.study, r.run) for r in experiments.itertuples()})
    for number, (measure, label) in enumerate(measures.items()):
        for column, kind in enumerate(kinds):
            panel = axes[number * len(kinds) + column]
            for place, (study, run) in enumerate(runs):
                line = experiments[
                    (experiments["study"] == study)
                    & (experiments["run"] == run)
                    & (experiments["kind"] == kind)
                ]
                panel.plot(
                    line["cluster_size"],
                    line[measure],
                    f"{MARKERS[place % len(MARKERS)]}-",
                    color=COLOURS[place % len(COLOURS)],
                    markersize=4,
                    linewidth=1,
                    label=run,
                )
            _finish_experiment(panel, label if column == 0 else "", kind, number, experiments)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4,
                  frameon=False)  # fmt: skip
    return figure


def _finish_experiment(
    axes: Axes, label: str, kind: str, row: int, experiments: pd.DataFrame
) -> None:
    axes.set(yscale="log", ylabel=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(experiments["cluster_size"].dropna().unique()))
    format_log(axes.xaxis, count_axis())
    format_steps(axes.yaxis, plain_axis())
    if row == 0:
        axes.set_title({"crafted": "crafted images", "application": "applications"}[kind])
    else:
        axes.set_xlabel("nodes")


def draw_extrapolations(extrapolations: pd.DataFrame) -> Figure:
    """Simulated pull times by cluster size: median and slowest node, with the model's error."""
    # The layer count that comes in most sizes, and of each strategy the run on most nodes.
    levels = extrapolations.groupby("layers")["nominal_bytes"].nunique()
    fewest = extrapolations[extrapolations["layers"] == levels.idxmax()]
    measured = fewest["cluster_size"] / fewest["times_measured_nodes"]
    first_runs = (
        fewest.assign(nodes=-measured.round())
        .sort_values(["nodes", "run"])
        .groupby("strategy", observed=True)["run"]
        .first()
    )
    figure, axes = make_grid(len(first_runs), 2, 3.2, sharey=True)
    sizes = sorted(fewest[fewest["run"].isin(first_runs)]["nominal_bytes"].unique())
    chosen = [sizes[int(n)] for n in np.linspace(0, len(sizes) - 1, _SIZES_SHOWN)]
    colours = ordered_colours(chosen)
    markers = ordered_markers(chosen)
    for panel, (strategy, run) in zip(
        axes, zip(first_runs.index.astype(str), first_runs, strict=True), strict=True
    ):
        rows = fewest[fewest["run"] == run]
        for size in colours:
            line = rows[rows["nominal_bytes"] == size].sort_values("cluster_size")
            _draw_extrapolation(panel, line, colours[size], markers[size])
            panel.plot(
                line["cluster_size"], line["slowest_seconds"], f"{markers[size]}-",
                color=colours[size], markersize=3, label=size_label(size),
            )  # fmt: skip
        panel.axvline(measured[rows.index].max(), color=GREY, linestyle=":")
        panel.set_title(f"{STRATEGIES.get(strategy, strategy)} ({run})")
        panel.set(xscale="log", yscale="log", xlabel="simulated nodes")
        format_log(panel.xaxis, count_axis())
        format_steps(panel.yaxis, plain_axis())
    axes[0].set_ylabel("pull time [s]")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6,
                  frameon=False)  # fmt: skip
    return figure


def _draw_extrapolation(
    axes: Axes, line: pd.DataFrame, colour: tuple[float, float, float], marker: str
) -> None:
    error = line["held_out_error"].fillna(0)
    axes.plot(
        line["cluster_size"], line["median_seconds"], f"{marker}--", color=colour, linewidth=1,
        markersize=2,
    )  # fmt: skip
    axes.fill_between(
        line["cluster_size"],
        line["slowest_seconds"] / (1 + error),
        line["slowest_seconds"] * (1 + error),
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
