"""What sets the nodes of a cluster apart: their speed, and when they begin.

Each measured host gets two factors, one for unpacking and one for the disk behind the page cache;
simulated hosts are drawn from them. What is left is noise of the single pull. A scheduler gives
pods to nodes one after the other, so that a larger cluster begins over a longer time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pullstudy.pulls.calibration import (
    Estimate,
    Fit,
    Measurements,
    Parameters,
    choose_parameters,
)
from pullstudy.pulls.model import Hosts

# Below this share of a pull a term says nothing about the host.
_SMALLEST_SHARE = 0.1
_FACTOR_RANGE = (0.05, 20.0)


class HostPool(NamedTuple):
    """Factors of the measured hosts, (hosts,) each, and the noise of one pull's logarithm."""

    unpack: np.ndarray
    flush: np.ndarray
    noise: float


class Ramp(NamedTuple):
    """How long it takes until the last node begins: base + per_node * nodes."""

    base: Estimate
    per_node: Estimate


def fit_hosts(measured: Measurements, fit: Fit) -> Mapping[str, HostPool]:
    """Return the hosts of each strategy."""
    factors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    residuals: dict[str, list[np.ndarray]] = defaultdict(list)
    for strategy, parameters, host in _hosts(measured, fit):
        unpack, flush = _factors(parameters, host)
        factors[strategy].append((unpack, flush))
        predicted = _predict(parameters, host, unpack, flush)
        residuals[strategy].append(np.log(host.seconds / predicted))
    return {
        strategy: _pool(np.array(factors[strategy]), np.concatenate(residuals[strategy]))
        for strategy in factors
    }


def draw_hosts(pool: HostPool, count: int, random: np.random.Generator) -> Hosts:
    """Draw hosts with replacement from those that were measured."""
    chosen = random.integers(len(pool.unpack), size=count)
    return Hosts(pool.unpack[chosen], pool.flush[chosen])


def fit_ramp(measured: Measurements) -> Ramp:
    """Fit the time from the first to the last request to the number of nodes, by medians.

    The line goes through the medians of the cluster sizes (Theil and Sen's slope).
    """
    spreads: dict[int, list[float]] = defaultdict(list)
    for _, group in _groups(measured, "run", "cluster_size", "subject"):
        requested = group.requested[~np.isnan(group.requested)]
        count = len(set(group.node))
        if count > 1 and len(requested):
            spreads[count].append(float(np.ptp(requested)))
    if len(spreads) < 2:
        missing = Estimate(None, None, "requests of clusters of two sizes are needed")
        return Ramp(missing, missing)
    nodes = np.array(sorted(spreads), dtype=float)
    seconds = np.array([np.median(spreads[int(count)]) for count in nodes])
    first, second = np.triu_indices(len(nodes), 1)
    slopes = (seconds[second] - seconds[first]) / (nodes[second] - nodes[first])
    slope = max(float(np.median(slopes)), 0.0)
    base = max(float(np.median(seconds - slope * nodes)), 0.0)
    reason = f"{sum(map(len, spreads.values()))} images on clusters of {len(nodes)} sizes"
    return Ramp(Estimate(base, None, reason), Estimate(slope, None, reason))


def _hosts(measured: Measurements, fit: Fit) -> Iterator[tuple[str, Parameters, Measurements]]:
    for (run, _, _), host in _groups(measured, "run", "cluster_size", "node"):
        strategy = str(host.strategy[0])
        yield strategy, choose_parameters(fit, str(run), strategy), host


def _groups(
    measured: Measurements, *names: str
) -> Iterator[tuple[tuple[object, ...], Measurements]]:
    columns = [getattr(measured, name) for name in names]
    places: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, key in enumerate(zip(*columns, strict=True)):
        places[key].append(place)
    for key, found in places.items():
        yield key, measured.where(np.array(found))


def _factors(parameters: Parameters, host: Measurements) -> tuple[float, float]:
    """Return how much slower a host unpacks, and how much slower its disk is; NaN: no telling."""
    fixed = _predict(parameters, host, 0.0, 0.0)
    unpacking = parameters.unpack_seconds_per_gigabyte * host.content
    beyond = np.maximum(0.0, host.content - parameters.knee_gigabytes)
    flushing = parameters.flush_seconds_per_gigabyte * beyond
    small = (flushing == 0) & (unpacking > _SMALLEST_SHARE * host.seconds)
    unpack = _median_ratio((host.seconds - fixed)[small], unpacking[small])
    rest = host.seconds - fixed - (1.0 if np.isnan(unpack) else unpack) * unpacking
    large = flushing > _SMALLEST_SHARE * host.seconds
    return unpack, _median_ratio(rest[large], flushing[large])


def _median_ratio(seconds: np.ndarray, expected: np.ndarray) -> float:
    if not len(seconds):
        return float("nan")
    return float(np.clip(np.median(seconds / expected), *_FACTOR_RANGE))


def _predict(parameters: Parameters, host: Measurements, unpack: float, flush: float) -> np.ndarray:
    """Predict a host's pulls; a factor that is not known is 1."""
    own = parameters._replace(
        unpack_seconds_per_gigabyte=parameters.unpack_seconds_per_gigabyte * _or_one(unpack),
        flush_seconds_per_gigabyte=parameters.flush_seconds_per_gigabyte * _or_one(flush),
    )
    return own.predict(host.layers, host.content, host.wire)


def _or_one(factor: float) -> float:
    return 1.0 if np.isnan(factor) else factor


def _pool(factors: np.ndarray, residuals: np.ndarray) -> HostPool:
    """Keep the hosts of which both factors are known, where there are any."""
    whole = ~np.isnan(factors).any(axis=1)
    chosen = factors[whole] if whole.any() else np.where(np.isnan(factors), 1.0, factors)
    noise = float(np.median(np.abs(residuals - np.median(residuals))) / 0.6745)
    return HostPool(chosen[:, 0], chosen[:, 1], noise)
