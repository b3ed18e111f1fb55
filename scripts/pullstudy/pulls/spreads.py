"""How far the nodes of a cluster are apart, and how far chance alone would put them: `spreads`.

If hosts have speeds of one fixed distribution, a larger cluster holds a slower slowest host
without any pull growing slower. The distribution is taken from all clusters of a run for the same
image; order statistics then say what to expect of this many hosts.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pullstudy.pulls.statistics import expected_extremes
from pullstudy.query import connect

_DRAWS = 2000
_COLUMNS = "study, run, strategy, platform, cluster_size, kind, subject, nominal_bytes"


class _Ends(NamedTuple):
    seconds: np.ndarray
    started: np.ndarray
    pulled: np.ndarray


def find_spreads(pulls: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row of `spreads` for each image on each cluster of `measured_pulls` (Parquet).

    What was pulled several times is the mean over its repetitions.
    """
    cells = _read(pulls)
    pools: dict[tuple[Any, ...], list[np.ndarray]] = defaultdict(list)
    for key, repetitions in cells.items():
        pools[_pool_of(key)] += [ends.seconds / np.median(ends.seconds) for ends in repetitions]
    for key, repetitions in cells.items():
        pool = np.concatenate(pools[_pool_of(key)])
        rows = [_row(ends, pool, key, seed) for ends in repetitions]
        yield (
            dict(zip(_COLUMNS.split(", "), key, strict=True))
            | {"nodes": max(len(ends.seconds) for ends in repetitions)}
            | {name: _mean_of(row[name] for row in rows) for name in rows[0]}
        )


def _pool_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
    study, run, _, platform, _, kind, subject, _ = key
    return study, run, platform, kind, subject


def _mean_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _read(pulls: Path) -> dict[tuple[Any, ...], list[_Ends]]:
    with connect({"pulls": [pulls]}) as connection:
        rows = connection.execute(
            "WITH counted AS (SELECT *, row_number() OVER"
            f" (PARTITION BY {_COLUMNS}, node ORDER BY attempt) AS repetition FROM pulls)"
            f" SELECT {_COLUMNS}, repetition, list(seconds ORDER BY node),"
            " list(epoch_us(started_at_utc) / 1e6 ORDER BY node),"
            " list(epoch_us(pulled_at_utc) / 1e6 ORDER BY node)"
            " FROM counted GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    cells: dict[tuple[Any, ...], list[_Ends]] = defaultdict(list)
    for row in rows:
        ends = _Ends(*(np.array(values, dtype=float) for values in row[-3:]))
        cells[row[:-4]].append(ends)
    return cells


def _row(ends: _Ends, pool: np.ndarray, key: Sequence[Any], seed: int) -> dict[str, float | None]:
    count, middle = len(ends.seconds), float(np.median(ends.seconds))
    fastest, slowest = expected_extremes(pool, count)
    known = not np.isnan(ends.pulled).any()
    expected = None
    if known and not np.isnan(ends.started).any():
        random = np.random.default_rng([seed, zlib.crc32(repr(key).encode())])
        durations = random.choice(pool, size=(_DRAWS, count)) * middle
        expected = float(np.ptp(durations + ends.started - ends.started.min(), axis=1).mean())
    return {
        "fastest_seconds": float(ends.seconds.min()),
        "median_seconds": middle,
        "slowest_seconds": float(ends.seconds.max()),
        "expected_fastest_seconds": fastest * middle,
        "expected_slowest_seconds": slowest * middle,
        "start_spread_seconds": float(np.ptp(ends.started)) if known else None,
        "finish_spread_seconds": float(np.ptp(ends.pulled)) if known else None,
        "expected_finish_spread_seconds": expected,
        "wait_seconds": float((ends.pulled.max() - ends.pulled).mean()) if known else None,
    }
