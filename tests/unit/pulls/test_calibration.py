"""Calibration on made-up pulls whose parameters are known."""

from typing import Any

import numpy as np
import pytest

from pullstudy.pulls.calibration import Measurements, choose_parameters, fit_parameters
from pullstudy.pulls.holdout import hold_out
from pullstudy.pulls.hosts import draw_hosts, fit_hosts, fit_ramp

SIZES = (0.05, 0.4, 1.2, 2.8, 6.8, 10.9, 15.0, 19.0)
BASE, LAYER, KNEE, UNPACK, FLUSH = 0.7, 0.03, 5.0, 5.2, 1.8


def pulls_of(run: str, nodes: int = 14, seed: int = 0, **more: Any) -> list[tuple[Any, ...]]:
    random = np.random.default_rng([seed, nodes, *run.encode()])
    rows = []
    for node in range(nodes):
        unpack = random.lognormal(0, more.get("spread", 0.02))
        flush = random.lognormal(0, more.get("disk_spread", 0.3))
        for size in more.get("sizes", SIZES):
            for layers in more.get("layers", (9,)):
                wire = more.get("wire", lambda size, layers: 0.0022 + size / 1000)(size, layers)
                seconds = (
                    BASE
                    + LAYER * layers
                    + more.get("download", 0.0) * wire
                    + more.get("unpack", UNPACK) * unpack * size
                    + more.get("flush", FLUSH) * flush * max(0, size - KNEE)
                )
                outlier = random.uniform(2, 4) if random.uniform() < more.get("outliers", 0) else 1
                requested = 1000 * size + random.uniform(0, 0.3 + 0.04 * nodes)
                rows.append(
                    (run, more.get("strategy", "plain"), nodes, f"{run}-{nodes}-{node}",
                     f"{layers} layers, {size}", layers, size, wire,
                     seconds * outlier * random.lognormal(0, 0.01), requested)
                )  # fmt: skip
    return rows


def measured(*groups: list[tuple[Any, ...]]) -> Measurements:
    columns = zip(*(row for group in groups for row in group), strict=True)
    numbers = {"cluster_size", "layers", "content", "wire", "seconds", "requested"}
    return Measurements(
        *(
            np.array(column, dtype=float if name in numbers else str)
            for name, column in zip(Measurements._fields, columns, strict=True)
        )
    )


def test_parameters_are_found_in_spite_of_outliers() -> None:
    fit = fit_parameters(
        measured(
            pulls_of("r1", layers=(1, 9, 100), outliers=0.05),
            pulls_of("r2", layers=(9,), outliers=0.05, flush=4.0),
        )
    )
    expected = {"base": BASE, "layer": LAYER, "knee": KNEE}
    for name, value in expected.items():
        found = fit.shared[name]
        assert found.value == pytest.approx(value, rel=0.1)
        assert found.standard_error is not None
        assert 0 < found.standard_error < 0.1 * value
    assert fit.unpack["r1"].value == pytest.approx(UNPACK, rel=0.03)
    assert fit.flush["r2"].value == pytest.approx(4.0, rel=0.15)


def test_images_of_zeros_cannot_tell_the_network() -> None:
    fit = fit_parameters(measured(pulls_of("r1", layers=(1, 9, 100))))
    assert fit.shared["download"].value is None
    assert "together with the size" in fit.shared["download"].reason


def test_images_of_real_bytes_can() -> None:
    shares = dict(zip(SIZES, (0.9, 0.2, 0.6, 0.3, 0.5, 0.2, 0.7, 0.4), strict=True))
    fit = fit_parameters(
        measured(
            pulls_of(
                "r1",
                layers=(1, 9, 100),
                download=12.0,
                wire=lambda size, layers: size * shares[size] * (0.8 + layers / 500),
            )
        )
    )
    assert fit.shared["download"].value == pytest.approx(12.0, rel=0.1)


@pytest.mark.parametrize(
    ("design", "parameter", "reason"),
    [
        ({"layers": (9,)}, "layer", "the same for every image"),
        ({"sizes": (1.0, 1.5)}, "knee", "too much of one size"),
        ({"sizes": (0.1, 0.5, 1.0, 2.0, 3.0, 6.8)}, "knee", "fewer than 2 sizes are beyond it"),
    ],
)
def test_what_the_data_cannot_tell(design: dict[str, Any], parameter: str, reason: str) -> None:
    design = {"layers": (1, 9, 100)} | design
    found = fit_parameters(measured(pulls_of("r1", **design))).shared[parameter]
    assert found.value is None
    assert reason in found.reason


def test_an_unknown_layer_count_is_no_zero() -> None:
    rows = [(*row[:5], np.nan, *row[6:]) for row in pulls_of("r1")]
    assert fit_parameters(measured(rows)).shared["layer"].reason == "not recorded for every image"


def test_a_run_that_was_not_seen_is_like_others_of_its_strategy() -> None:
    fit = fit_parameters(
        measured(
            pulls_of("slow", flush=3.0),
            pulls_of("fast", flush=1.0, strategy="cache"),
            pulls_of("other", flush=3.0),
        )
    )
    assert choose_parameters(fit, "new", "plain").flush_seconds_per_gigabyte > 2.5
    assert choose_parameters(fit, "new", "cache").flush_seconds_per_gigabyte < 1.5
    assert choose_parameters(fit, "new", "local_ssd").flush_seconds_per_gigabyte == 0
    assert choose_parameters(fit, "fast", "cache").unpack_seconds_per_gigabyte == (
        fit.unpack["fast"].value
    )


def test_hosts_are_told_apart() -> None:
    data = measured(pulls_of("r1", nodes=60, spread=0.1, disk_spread=0.5))
    pool = fit_hosts(data, fit_parameters(data))["plain"]
    assert len(pool.unpack) == 60
    assert np.std(np.log(pool.unpack)) == pytest.approx(0.1, rel=0.35)
    assert np.std(np.log(pool.flush)) == pytest.approx(0.5, rel=0.35)
    assert pool.noise == pytest.approx(0.01, rel=0.5)
    drawn = draw_hosts(pool, 5000, np.random.default_rng(1))
    assert np.median(drawn.flush) == pytest.approx(np.median(pool.flush), rel=0.1)
    assert set(drawn.unpack) <= set(pool.unpack)


def test_the_start_takes_longer_on_more_nodes() -> None:
    groups = [pulls_of("r1", nodes=nodes) for nodes in (10, 40, 100, 200)]
    ramp = fit_ramp(measured(*groups))
    assert ramp.per_node.value == pytest.approx(0.04, rel=0.2)
    assert fit_ramp(measured(groups[0])).per_node.value is None


def test_held_out_pulls_are_predicted_and_do_not_help() -> None:
    groups = [pulls_of(run, nodes=nodes, seed=3) for run in ("r1", "r2", "r3") for nodes in (6, 14)]
    odd = pulls_of("odd", unpack=2 * UNPACK, flush=2 * FLUSH)
    rows = list(hold_out(measured(*groups, odd)))
    by_run = {row["run"]: row for row in rows if row["held_out"] == "run"}
    assert by_run["r1"]["median_error"] < 0.1
    # Calibration had not seen that this run is twice as slow.
    assert by_run["odd"]["bias"] == pytest.approx(0.55, abs=0.1)
    assert by_run["odd"]["calibrated_on"] == "r1 r2 r3"
    clusters = [(row["run"], row["level"]) for row in rows if row["held_out"] == "cluster_size"]
    assert clusters == [(run, size) for run in ("r1", "r2", "r3") for size in ("6", "14")]
