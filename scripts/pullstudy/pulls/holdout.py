"""How far the model is off where it was not calibrated: rows of `model_errors`.

Three ways of not seeing: one cluster size of a run, a whole run, and all images beyond the middle
size. The first two are what the model is for; the third says what a larger image than measured
would cost in trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pullstudy.pulls.calibration import (
    Measurements,
    choose_parameters,
    fit_parameters,
)


def hold_out(measured: Measurements) -> Iterator[dict[str, Any]]:
    """Yield a row for each run, and each cluster size and half of the sizes of a run."""
    runs = sorted(set(measured.run))
    for run in runs:
        own = measured.run == run
        if len(runs) > 1:
            yield _row(measured, own, ~own, "run", str(run))
        clusters = sorted(set(measured.cluster_size[own]))
        for size in clusters if len(clusters) > 1 else []:
            chosen = own & (measured.cluster_size == size)
            yield _row(measured, chosen, ~chosen, "cluster_size", str(int(size)))
        middle = float(np.median(sorted(set(measured.content[own]))))
        large = measured.content > middle
        if (own & large).any():
            first = round(measured.content[own & large].min() * 1e9)
            yield _row(measured, own & large, ~large, "size", str(first))


def _row(
    measured: Measurements, chosen: np.ndarray, seen: np.ndarray, held_out: str, level: str
) -> dict[str, Any]:
    calibration, target = measured.where(seen), measured.where(chosen)
    run = str(target.run[0])
    parameters = choose_parameters(fit_parameters(calibration), run, str(target.strategy[0]))
    ratio = parameters.predict(target.layers, target.content, target.wire) / target.seconds
    errors = np.abs(ratio - 1)
    return {
        "run": run,
        "held_out": held_out,
        "level": level,
        "calibrated_on": " ".join(sorted(set(calibration.run))),
        "pulls": len(errors),
        "median_error": float(np.median(errors)),
        "p90_error": float(np.quantile(errors, 0.9)),
        "bias": float(np.median(ratio)),
    }
