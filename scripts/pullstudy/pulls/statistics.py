"""Statistics of pull times: medians with their uncertainty, ratios, slopes and extremes.

Pulls of one node share its disk, its neighbours and its luck, so that nodes, not pulls, are drawn
again in the bootstrap (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8).
A cell is one image on one cluster; intervals are percentile intervals.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_SMALLEST_SPREAD = 3

Statistic = Callable[..., np.ndarray]


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float


class Draws(NamedTuple):
    """A statistic of each cell: observed (c,), and of each draw of the nodes (b, c)."""

    observed: np.ndarray
    drawn: np.ndarray


def draw_nodes(
    seconds: np.ndarray, statistic: Statistic, resamples: int, seed: int, label: str
) -> Draws:
    """Compute a statistic per column over the rows, and over rows drawn with replacement.

    seconds: (nodes, repetitions, cells), NaN where a node did not pull; a node counts with the
    median of its repetitions, which are drawn again too: nodes of one machine have their luck
    together. statistic: a NumPy function with `axis` that leaves NaN out. label: names the
    cluster, so that each has random numbers of its own; the same label draws the same nodes. A
    column of NaN only stays NaN, and one pull alone tells nothing of chance: its draws are NaN.
    """
    random = np.random.default_rng([seed, zlib.crc32(label.encode())])
    count, repetitions, _ = seconds.shape
    nodes = random.integers(count, size=(resamples, count, 1))
    repeated = random.integers(repetitions, size=(resamples, 1, repetitions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN only
        observed = statistic(np.nanmedian(seconds, axis=1), axis=0)
        drawn = statistic(np.nanmedian(seconds[nodes, repeated], axis=2), axis=1)
    return Draws(observed, drawn if count * repetitions > 1 else np.full_like(drawn, np.nan))


def median(values: np.ndarray, axis: int) -> np.ndarray:
    """Return medians that leave NaN out."""
    return np.nanmedian(values, axis=axis)


def standard_deviation(values: np.ndarray, axis: int) -> np.ndarray:
    """Return sample standard deviations that leave NaN out; below three values NaN."""
    deviation = np.nanstd(values, axis=axis, ddof=1)
    enough = np.count_nonzero(~np.isnan(values), axis=axis) >= _SMALLEST_SPREAD
    # Draws of one node over and over have no spread: they say nothing.
    return np.where(enough & (deviation > 0), deviation, np.nan)


def ratio(baseline: Draws, treatment: Draws, confidence: float = 0.95) -> Interval:
    """Compare cells pairwise: the geometric mean of treatment over baseline, with its interval.

    Columns of the two belong together. NaN in all cells gives NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.log(treatment.observed) - np.log(baseline.observed)
        drawn = np.log(treatment.drawn) - np.log(baseline.drawn)
    low, high = _percentiles(_mean(drawn, axis=1), confidence)
    return Interval(*(float(np.exp(value)) for value in (_mean(observed, axis=0), low, high)))


def slope(
    x: np.ndarray, y: np.ndarray, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[Interval, float]:
    """Fit a straight line by least squares: its slope with interval, and its intercept.

    x, y: (n,) at least three different x, which are chosen, not drawn: residuals are drawn again,
    each widened by its point's leverage (Davison and Hinkley 1997, 6.2.3).
    """
    centred = x - x.mean()
    weights = centred / (centred**2).sum()
    fitted, intercept = float(weights @ y), float(y.mean() - weights @ y * x.mean())
    leverage = 1 / len(x) + centred**2 / (centred**2).sum()
    residuals = (y - intercept - fitted * x) / np.sqrt(np.maximum(1 - leverage, 1e-9))
    residuals -= residuals.mean()
    drawn = np.random.default_rng(seed).choice(residuals, size=(resamples, len(x)))
    return Interval(fitted, *_percentiles(fitted + drawn @ weights, confidence)), intercept


def expected_extremes(pool: Sequence[float] | np.ndarray, count: int) -> tuple[float, float]:
    """Return the expected smallest and largest of `count` values drawn from `pool`.

    Drawn independently and with replacement: P(largest <= x_(k)) = (k/m)^count for the k-th of m.
    """
    values = np.sort(np.asarray(pool, dtype=float))
    below = np.linspace(0.0, 1.0, len(values) + 1) ** count
    weights = np.diff(below)
    return float(values @ weights[::-1]), float(values @ weights)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(np.where(np.isfinite(values), values, np.nan), axis=axis))


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
