"""Compare runs with each other, and levels within a run: `comparisons`, `trends`, `spreads`.

Which runs can be compared is read from the pulls themselves: two runs share a cell when both
pulled the same image (`subject`) on a cluster of the same size; what else differs between them is
the factor. Nothing about the published runs stands here.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pullstudy.errors import EmptyCorpus
from pullstudy.pulls.spreads import find_spreads
from pullstudy.pulls.statistics import (
    Draws,
    Statistic,
    draw_nodes,
    median,
    ratio,
    slope,
    standard_deviation,
)
from pullstudy.query import connect
from pullstudy.tables import TABLES, open_writers

CONFIDENCE = 0.95
# Which column of `measured_pulls` each measure is of.
_MEASURES: Mapping[str, tuple[str, Statistic]] = {
    "median": ("seconds", median),
    "standard_deviation": ("seconds", standard_deviation),
    "median_until_ready": ("ready_seconds", median),
}
_FACTORS = ("registry", "strategy", "platform", "disk", "repository")
_GIGABYTE = 1e9
_SMALLEST_TREND = 4


class Cell(NamedTuple):
    """One image on one cluster of a run."""

    study: str
    run: str
    cluster_size: int | None
    kind: str
    subject: str
    layers: int | None
    nominal_bytes: int | None


class _Value(NamedTuple):
    """One pull, by the columns that are measured; None: not known."""

    cell: Cell
    node: str
    seconds: Mapping[str, float | None]


class Measured(NamedTuple):
    """Drawn statistics of all cells, and what each run was."""

    resamples: int
    seed: int
    draws: Mapping[str, Mapping[Cell, Draws]]
    nodes: Mapping[Cell, frozenset[str]]
    runs: Mapping[tuple[str, str], dict[str, str | None]]


def write_comparisons(pulls: Path, folder: Path, resamples: int, seed: int) -> None:
    """Write `comparisons`, `trends` and `spreads` of `measured_pulls` (Parquet) into `folder`.

    Raises EmptyCorpus when there is no pull.
    """
    measured = measure(pulls, resamples, seed)
    rows = {
        "comparisons": compare(measured),
        "trends": find_trends(measured),
        "spreads": find_spreads(pulls, seed),
    }
    with open_writers(folder, list(rows)) as writers:
        for name, found in rows.items():
            found_rows = list(found)
            columns = [column.name for column in TABLES[name].columns]
            writers[name].write({column: [row[column] for row in found_rows] for column in columns})


def measure(pulls: Path, resamples: int, seed: int) -> Measured:
    """Draw nodes again and again in every cluster of `measured_pulls` (a Parquet file).

    Raises EmptyCorpus when there is no pull.
    """
    clusters: dict[tuple[str, str, int | None], list[_Value]] = defaultdict(list)
    runs: dict[tuple[str, str], dict[str, str | None]] = {}
    for row in _read(pulls):
        cell = Cell(*row[:7])
        seconds = {"seconds": row[8], "ready_seconds": row[9]}
        clusters[cell.study, cell.run, cell.cluster_size].append(_Value(cell, row[7], seconds))
        levels = runs.setdefault((cell.study, cell.run), {})
        levels |= dict(zip(_FACTORS, row[10:], strict=True))
    if not clusters:
        raise EmptyCorpus(f"{pulls}: holds no pull to compare; replay or run a study first")
    draws: dict[str, dict[Cell, Draws]] = {name: {} for name in _MEASURES}
    nodes: dict[Cell, set[str]] = defaultdict(set)
    for key, values in clusters.items():
        for value in values:
            nodes[value.cell].add(value.node)
        for name in _MEASURES:
            label = "/".join(map(str, key))
            draws[name] |= _draw_cluster(values, name, resamples, seed, label)
    return Measured(
        resamples, seed, draws, {cell: frozenset(found) for cell, found in nodes.items()}, runs
    )


def compare(measured: Measured) -> Iterator[dict[str, Any]]:
    """Yield rows of `comparisons`: runs, then layer counts, then cluster sizes."""
    yield from _compare_runs(measured)
    yield from _compare_levels(measured, "layers")
    yield from _compare_levels(measured, "cluster_size")


def find_trends(measured: Measured) -> Iterator[dict[str, Any]]:
    """Yield rows of `trends`: a line per variable wherever at least four levels are known."""
    for variable in ("layers", "nominal_bytes"):
        groups: dict[tuple[Any, ...], list[Cell]] = defaultdict(list)
        for cell in measured.nodes:
            if getattr(cell, variable) is not None:
                groups[_without(cell, variable)].append(cell)
        for group in groups.values():
            if len({getattr(cell, variable) for cell in group}) >= _SMALLEST_TREND:
                yield _trend_row(measured, variable, group)


def _read(pulls: Path) -> list[tuple[Any, ...]]:
    columns = "study, run, cluster_size, kind, subject, layers, nominal_bytes, node, seconds"
    columns += ", ready_seconds"
    with connect({"pulls": [pulls]}) as connection:
        return connection.execute(
            f"SELECT {columns}, {', '.join(_FACTORS)} FROM pulls"
            " ORDER BY study, run, cluster_size, kind, nominal_bytes, subject, node, attempt"
        ).fetchall()


def _draw_cluster(
    values: Sequence[_Value], measure: str, resamples: int, seed: int, label: str
) -> dict[Cell, Draws]:
    """Arrange a cluster's pulls as nodes times repetitions times cells, and draw them again."""
    column, statistic = _MEASURES[measure]
    cells = list(dict.fromkeys(value.cell for value in values))
    nodes = sorted({value.node for value in values})
    repeated: dict[tuple[int, int], list[float]] = defaultdict(list)
    for value in values:
        found = value.seconds[column]
        place = nodes.index(value.node), cells.index(value.cell)
        repeated[place].append(np.nan if found is None else found)
    table = np.full((len(nodes), max(map(len, repeated.values())), len(cells)), np.nan)
    for (node, cell), seconds in repeated.items():
        table[node, : len(seconds), cell] = seconds
    drawn = draw_nodes(table, statistic, resamples, seed, label)
    return {cell: Draws(drawn.observed[[n]], drawn.drawn[:, [n]]) for n, cell in enumerate(cells)}


def _compare_runs(measured: Measured) -> Iterator[dict[str, Any]]:
    by_run: dict[tuple[str, str], dict[tuple[Any, ...], Cell]] = defaultdict(dict)
    for cell in measured.nodes:
        by_run[cell.study, cell.run][cell.kind, cell.cluster_size, cell.subject] = cell
    order = sorted(by_run, key=lambda run: (measured.runs[run]["strategy"] != "plain", run))
    for first, second in itertools.combinations(order, 2):
        shared = [key for key in by_run[first] if key in by_run[second]]
        if first[0] != second[0] or not shared:
            continue
        levels = measured.runs[first], measured.runs[second]
        differs = [name for name in _FACTORS if _differs(levels[0][name], levels[1][name])]
        if "registry" in differs:
            differs.remove("repository")  # Another registry is another repository anyway.
        heading = {
            "factor": "+".join(differs) or "repetition",
            "baseline": "+".join(str(levels[0][name]) for name in differs) or first[1],
            "treatment": "+".join(str(levels[1][name]) for name in differs) or second[1],
        }
        pairs = [(by_run[first][key], by_run[second][key]) for key in shared]
        yield from _scopes(measured, heading, pairs)


def _differs(first: str | None, second: str | None) -> bool:
    """Whether two levels are known to differ: nodes that nobody described say nothing."""
    return first is not None and second is not None and first != second


def _compare_levels(measured: Measured, variable: str) -> Iterator[dict[str, Any]]:
    """Compare each level of a variable with its smallest, all else being equal in one run."""
    groups: dict[tuple[Any, ...], dict[int, Cell]] = defaultdict(dict)
    for cell in measured.nodes:
        if getattr(cell, variable) is not None:
            groups[_without(cell, variable)][getattr(cell, variable)] = cell
    pairs: dict[tuple[str, str, int, int], list[tuple[Cell, Cell]]] = defaultdict(list)
    for levels in groups.values():
        smallest = min(levels)
        for level in sorted(set(levels) - {smallest}):
            cell = levels[smallest]
            pairs[cell.study, cell.run, smallest, level].append((cell, levels[level]))
    for (_, _, smallest, level), cells in sorted(pairs.items()):
        heading = {"factor": variable, "baseline": str(smallest), "treatment": str(level)}
        yield from _scopes(measured, heading, cells)


def _without(cell: Cell, variable: str) -> tuple[Any, ...]:
    """Return what has to be equal for cells to differ in the variable alone."""
    names = ["study", "run", "kind", "cluster_size"]
    names += ["subject"] if variable == "cluster_size" else ["layers", "nominal_bytes"]
    return tuple(getattr(cell, name) for name in names if name != variable)


def _scopes(
    measured: Measured, heading: dict[str, str], pairs: Sequence[tuple[Cell, Cell]]
) -> Iterator[dict[str, Any]]:
    """Yield a comparison over all pairs of a kind, and one per cluster, size and image."""
    same_cluster = heading["factor"] != "cluster_size"
    same_subject = heading["factor"] != "layers"
    scopes: dict[tuple[Any, ...], list[tuple[Cell, Cell]]] = defaultdict(list)
    for pair in pairs:
        cell = pair[0]
        cluster_size = cell.cluster_size if same_cluster else None
        subject = cell.subject if same_subject else None
        image = (cell.nominal_bytes, subject)
        for where in (None, cluster_size):
            for what in ((None, None), (cell.nominal_bytes, None), image):
                chosen = scopes[cell.kind, where, *what]
                if pair not in chosen:
                    chosen.append(pair)
    for scope, chosen in sorted(scopes.items(), key=lambda item: tuple(map(_order, item[0]))):
        for name in _MEASURES:
            row = _comparison_row(measured, name, chosen)
            if row is not None:
                kind, cluster_size, nominal_bytes, subject = scope
                yield (
                    heading
                    | row
                    | {
                        "kind": kind,
                        "cluster_size": cluster_size,
                        "nominal_bytes": nominal_bytes,
                        "subject": subject,
                    }
                )


def _order(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _comparison_row(
    measured: Measured, name: str, pairs: Sequence[tuple[Cell, Cell]]
) -> dict[str, Any] | None:
    """Return what a comparison found; None when no cell has the measure on both sides."""
    draws = measured.draws[name]
    known = [pair for pair in pairs if all(draws[cell].observed[0] > 0 for cell in pair)]
    if not known:
        return None
    sides = [_join(draws[pair[side]] for pair in known) for side in (0, 1)]
    found = ratio(sides[0], sides[1], CONFIDENCE)
    nodes = [
        len(frozenset().union(*(measured.nodes[pair[side]] for pair in known))) for side in (0, 1)
    ]
    means = [float(np.exp(np.log(side.observed).mean())) for side in sides]
    return {
        "study": known[0][0].study,
        "measure": name,
        "baseline_run": known[0][0].run,
        "treatment_run": known[0][1].run,
        "cells": len(known),
        "baseline_nodes": nodes[0],
        "treatment_nodes": nodes[1],
        "baseline_seconds": means[0],
        "treatment_seconds": means[1],
        "ratio": found.estimate,
        "ratio_low": _or_none(found.low),
        "ratio_high": _or_none(found.high),
        "confidence": CONFIDENCE,
    }


def _trend_row(measured: Measured, variable: str, group: list[Cell]) -> dict[str, Any]:
    group = sorted(group, key=lambda cell: getattr(cell, variable))
    unit = _GIGABYTE if variable == "nominal_bytes" else 1
    x = np.array([getattr(cell, variable) / unit for cell in group])
    y = np.array([measured.draws["median"][cell].observed[0] for cell in group])
    found, intercept = slope(x, y, measured.resamples, measured.seed, CONFIDENCE)
    first = group[0]
    return {
        "study": first.study,
        "run": first.run,
        "kind": first.kind,
        "variable": "nominal_gigabytes" if variable == "nominal_bytes" else variable,
        "cluster_size": first.cluster_size,
        "nominal_bytes": None if variable == "nominal_bytes" else first.nominal_bytes,
        "layers": None if variable == "layers" else first.layers,
        "cells": len(group),
        "seconds_per_unit": found.estimate,
        "seconds_per_unit_low": _or_none(found.low),
        "seconds_per_unit_high": _or_none(found.high),
        "intercept_seconds": intercept,
        "confidence": CONFIDENCE,
    }


def _join(cells: Iterable[Draws]) -> Draws:
    cells = list(cells)
    return Draws(
        np.concatenate([cell.observed for cell in cells]),
        np.concatenate([cell.drawn for cell in cells], axis=1),
    )


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
