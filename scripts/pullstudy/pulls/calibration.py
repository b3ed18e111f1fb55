"""Fit the parameters of the model of pulls to measured pulls, and say which the data can tell.

    seconds = base + layer * layers + download * wire
              + host * unpack * content + disk * flush * max(0, content - knee)

in gigabytes (10^9): content is what is unpacked (else the nominal size, else the wire bytes), wire
what is transferred. base, layer, download and knee are shared by all runs; unpack and flush belong
to a run; host and disk are factors of one node with median 1. Errors of pull times are relative,
so that logarithms are compared; the soft-L1 loss lets single slow pulls pull little.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from pullstudy.errors import EmptyCorpus
from pullstudy.query import connect

_GIGABYTE = 1e9
_LOSS_SCALE = 0.05  # relative errors beyond 5 % count linearly
_SMALLEST_VARIANCE = 0.01  # share of a column's variance that the others must leave
_SIZES_BEYOND = 2  # sizes beyond the knee that a slope there needs
_SHARED = ("base", "layer", "download", "knee")
_START = {"base": 0.3, "layer": 0.02, "download": 10.0, "knee": 6.0, "unpack": 6.0, "flush": 1.0}
_UPPER = {"base": 60.0, "layer": 5.0, "download": 1e3, "knee": 50.0, "unpack": 1e3, "flush": 1e3}


class Measurements(NamedTuple):
    """Measured pulls as columns of one length; sizes in gigabytes, NaN: not known."""

    run: np.ndarray
    strategy: np.ndarray
    cluster_size: np.ndarray
    node: np.ndarray
    subject: np.ndarray
    layers: np.ndarray
    content: np.ndarray
    wire: np.ndarray
    seconds: np.ndarray
    requested: np.ndarray

    def where(self, mask: np.ndarray) -> Measurements:
        """Return the pulls that a mask chooses."""
        return Measurements(*(column[mask] for column in self))


class Estimate(NamedTuple):
    """One parameter: not identified means value None and the reason why."""

    value: float | None
    standard_error: float | None
    reason: str


class Fit(NamedTuple):
    """Calibrated parameters: of all runs, and unpack and flush of each run."""

    shared: dict[str, Estimate]
    unpack: dict[str, Estimate]
    flush: dict[str, Estimate]
    strategies: dict[str, str]


class Parameters(NamedTuple):
    """What the model needs for one run; 0 where the data cannot tell and nothing is assumed."""

    base_seconds: float
    layer_seconds: float
    download_seconds_per_gigabyte: float
    knee_gigabytes: float
    unpack_seconds_per_gigabyte: float
    flush_seconds_per_gigabyte: float

    def predict(self, layers: np.ndarray, content: np.ndarray, wire: np.ndarray) -> np.ndarray:
        """Return the seconds of pulls by a median node with nothing else to wait for."""
        return predict_seconds(*self, layers=layers, content=content, wire=wire)


def predict_seconds(
    base: float,
    layer: float,
    download: float,
    knee: float,
    unpack: float | np.ndarray,
    flush: float | np.ndarray,
    *,
    layers: np.ndarray,
    content: np.ndarray,
    wire: np.ndarray,
) -> np.ndarray:
    """Evaluate the formula at the head of this module; what is not known counts nothing."""
    fixed = base + layer * np.nan_to_num(layers) + download * np.nan_to_num(wire)
    return np.asarray(fixed + unpack * content + flush * np.maximum(0.0, content - knee))


def read_measurements(pulls: Path, kind: str) -> Measurements:
    """Read `measured_pulls` (Parquet) of one kind of images.

    Streamed images are left out: their event ends before their bytes have moved. Raises
    EmptyCorpus when nothing is left.
    """
    with connect({"pulls": [pulls]}) as connection:
        columns = connection.execute(
            "SELECT run, coalesce(strategy, 'plain') AS strategy,"
            " coalesce(cluster_size, 0) AS cluster_size, node, subject,"
            " CAST(layers AS DOUBLE) AS layers,"
            " coalesce(uncompressed_bytes, nominal_bytes, compressed_bytes) / 1e9 AS content,"
            " compressed_bytes / 1e9 AS wire, seconds,"
            " epoch_us(requested_at_utc) / 1e6 AS requested"
            " FROM pulls WHERE kind = $kind AND strategy IS DISTINCT FROM 'streaming'"
            " AND seconds > 0 AND content IS NOT NULL"
            " ORDER BY run, cluster_size, content, subject, node, attempt",
            {"kind": kind},
        ).fetchnumpy()
    names = Measurements._fields
    found = Measurements(*(_plain(columns[name]) for name in names))
    if not len(found.seconds):
        raise EmptyCorpus(f"{pulls}: holds no pull of {kind} images to calibrate on")
    return found


def fit_parameters(measured: Measurements) -> Fit:
    """Fit all parameters that the measurements can tell apart."""
    reasons = find_reasons(measured)
    fit = _fit(measured, reasons)
    knee = fit.shared["knee"].value
    if knee is not None and len(set(measured.content[measured.content > knee])) < _SIZES_BEYOND:
        reasons["knee"] = f"fewer than {_SIZES_BEYOND} sizes are beyond it"
        fit = _fit(measured, reasons)
    return fit


def _fit(measured: Measurements, reasons: dict[str, str]) -> Fit:
    runs = sorted(set(measured.run))
    place = np.searchsorted(runs, measured.run)
    free = [name for name in _SHARED if name not in reasons]
    has_flush = "knee" in free
    names = [*free, *(["unpack"] * len(runs)), *(["flush"] * len(runs) if has_flush else [])]
    logs = np.log(measured.seconds)

    def residuals(values: np.ndarray) -> np.ndarray:
        shared = dict.fromkeys(_SHARED, 0.0) | dict(zip(free, values, strict=False))
        unpack, flush = np.split(values[len(free) :], [len(runs)])
        predicted = predict_seconds(
            **shared,
            unpack=unpack[place],
            flush=flush[place] if has_flush else 0.0,
            layers=measured.layers,
            content=measured.content,
            wire=measured.wire,
        )
        return np.log(predicted) - logs

    solution = least_squares(
        residuals,
        [_START[name] for name in names],
        bounds=([1e-3 if name == "base" else 0.0 for name in names], [_UPPER[n] for n in names]),
        loss="soft_l1",
        f_scale=_LOSS_SCALE,
    )
    errors = _standard_errors(solution.jac, residuals(solution.x))
    source = f"{len(logs)} pulls of {len(runs)} runs"
    estimates = [
        Estimate(float(value), error, source)
        for value, error in zip(solution.x, errors, strict=True)
    ]
    return _name_estimates(measured, runs, free, reasons, estimates)


def _name_estimates(
    measured: Measurements,
    runs: list[str],
    free: list[str],
    reasons: dict[str, str],
    estimates: list[Estimate],
) -> Fit:
    missing = {name: Estimate(None, None, reason) for name, reason in reasons.items()}
    middle = len(free) + len(runs)
    flush = estimates[middle:] or [missing["knee"]] * len(runs)
    return Fit(
        shared=dict(zip(free, estimates, strict=False)) | missing,
        unpack=dict(zip(runs, estimates[len(free) : middle], strict=True)),
        flush=dict(zip(runs, flush, strict=True)),
        strategies={run: str(measured.strategy[measured.run == run][0]) for run in runs},
    )


def choose_parameters(fit: Fit, run: str | None, strategy: str) -> Parameters:
    """Return the parameters of a run; of one that calibration did not see, what its like suggest.

    Its like are the runs with the same strategy, else all. A local SSD that was never seen is
    taken to write as fast as the page cache fills: no flush.
    """
    same = [name for name, other in fit.strategies.items() if other == strategy]
    like = [run] if run in fit.unpack else same or list(fit.unpack)
    flush = [_value(fit.flush[name]) for name in like]
    unseen_disk = run not in fit.unpack and not same and strategy == "local_ssd"
    return Parameters(
        base_seconds=_value(fit.shared["base"]),
        layer_seconds=_value(fit.shared["layer"]),
        download_seconds_per_gigabyte=_value(fit.shared["download"]),
        knee_gigabytes=_value(fit.shared["knee"]),
        unpack_seconds_per_gigabyte=float(np.median([_value(fit.unpack[name]) for name in like])),
        flush_seconds_per_gigabyte=0.0 if unseen_disk else float(np.median(flush)),
    )


def find_reasons(measured: Measurements) -> dict[str, str]:
    """Name the shared parameters that these measurements cannot tell, with the reason.

    What changes together with the size is counted as unpacking, what changes together with the
    layers as the cost of layers: the download comes last.
    """
    reasons = {}
    told = [measured.content]
    for name, column in (("layer", measured.layers), ("download", measured.wire)):
        if np.isnan(column).any():
            reasons[name] = "not recorded for every image"
        elif np.ptp(column) == 0:
            reasons[name] = "the same for every image"
        elif _left_variance(column, told) < _SMALLEST_VARIANCE:
            reasons[name] = "changes only together with the size and the layers of the images"
        else:
            told.append(column)
    sizes = len(set(measured.content))
    if sizes < 5 or measured.content.max() < 4 * measured.content.min():
        reasons["knee"] = "the images are too much of one size"
    return reasons


def _plain(column: Any) -> np.ndarray:
    """Return a column of DuckDB as an array, with NaN for null."""
    return np.ma.filled(column.astype(float), np.nan) if np.ma.isMA(column) else np.asarray(column)


def _standard_errors(jacobian: np.ndarray, residuals: np.ndarray) -> list[float | None]:
    """Return the usual standard errors; None where the Jacobian does not determine a parameter."""
    freedom = max(len(residuals) - jacobian.shape[1], 1)
    scale = float(np.median(np.abs(residuals)) / 0.6745) ** 2 * len(residuals) / freedom
    variances = np.diag(np.linalg.pinv(jacobian.T @ jacobian)) * scale
    known = np.abs(jacobian).sum(axis=0) > 0
    return [float(np.sqrt(v)) if k else None for v, k in zip(variances, known, strict=True)]


def _left_variance(column: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """Return the share of a column's variance that a line through the others leaves."""
    design = np.column_stack([np.ones(len(column)), *others])
    weights = np.linalg.lstsq(design, column, rcond=None)[0]
    return float(np.var(column - design @ weights) / np.var(column))


def _value(estimate: Estimate) -> float:
    return 0.0 if estimate.value is None else estimate.value
