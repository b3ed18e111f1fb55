"""Comparisons of made-up runs whose effects are known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pullstudy.errors import EmptyCorpus
from pullstudy.pulls.comparisons import compare, find_trends, measure, write_comparisons
from pullstudy.pulls.spreads import find_spreads
from pullstudy.tables import TABLES

Row = dict[str, Any]
RUN = {
    "study": "s",
    "strategy": "plain",
    "platform": "gce/a",
    "disk": None,
    "registry": "near",
    "repository": "near/a",
    "kind": "crafted",
}
GIGABYTE = 10**9


def pulls(
    run: str,
    seconds: Callable[[int, int], float],
    nodes: int = 14,
    sizes: tuple[int, ...] = (1, 5, 20),
    layers: tuple[int, ...] = (9,),
    seed: int = 0,
    sigma: float = 0.1,
    **design: Any,
) -> Iterator[Row]:
    random = np.random.default_rng([seed, nodes, *run.encode()])
    for node in range(nodes):
        speed = random.lognormal(0, sigma)
        for size in sizes:
            for count in layers:
                start = 1_731_219_265 * 10**6 + round(random.uniform(0, 10**6))
                took = seconds(size, count) * speed
                yield (
                    RUN
                    | design
                    | {
                        "run": run,
                        "cluster_size": nodes,
                        "node": f"{run}-{nodes}-{node}",
                        "attempt": 1,
                        "layers": count,
                        "nominal_bytes": size * GIGABYTE,
                        "subject": f"{count} layers, {size} GB",
                        "seconds": took,
                        "ready_seconds": 2 * took if "ready" in run else None,
                        "started_at_utc": start,
                        "pulled_at_utc": start + round(took * 10**6),
                    }
                )


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save_rows(*groups: Iterator[Row]) -> Path:
        rows = [row for group in groups for row in group]
        table = pa.Table.from_pylist(rows)
        for name in ("started_at_utc", "pulled_at_utc"):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].cast(pa.timestamp("us")))
        path = tmp_path / "measured.parquet"
        pq.write_table(table, path)
        return path

    return save_rows


def found(rows: Iterator[Row], **wanted: Any) -> Row:
    chosen = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(chosen) == 1, chosen
    return chosen[0]


POOLED = {"cluster_size": None, "nominal_bytes": None, "subject": None, "measure": "median"}


def test_runs_are_compared_by_what_differs_between_them(save: Callable[..., Path]) -> None:
    path = save(
        pulls("r1", lambda size, _: 6.0 * size),
        pulls("r2", lambda size, _: 6.0 * size, registry="far", repository="far/a"),
        pulls("r3", lambda size, _: 4.8 * size, strategy="local_ssd", sigma=0.01),
        pulls("r4", lambda size, _: 6.0 * size, nodes=30),
    )
    rows = list(compare(measure(path, 800, 1)))
    same = found(iter(rows), factor="registry", **POOLED)
    assert (same["baseline"], same["treatment"]) == ("near", "far")
    assert same["ratio_low"] < 1 < same["ratio_high"]
    disk = found(iter(rows), factor="strategy", baseline_run="r1", **POOLED)
    assert (disk["treatment_run"], disk["cells"], disk["baseline_nodes"]) == ("r3", 3, 14)
    assert disk["ratio"] == pytest.approx(0.8, abs=0.08)
    assert disk["ratio_low"] < 0.8 < disk["ratio_high"] < 1
    assert disk["treatment_seconds"] / disk["baseline_seconds"] == pytest.approx(disk["ratio"])
    spread = found(
        iter(rows),
        factor="strategy",
        baseline_run="r1",
        **POOLED | {"measure": "standard_deviation"},
    )
    assert spread["ratio_high"] < 0.3
    assert not [row for row in rows if "r4" in (row["baseline_run"], row["treatment_run"])]


def test_the_plain_run_is_the_baseline(save: Callable[..., Path]) -> None:
    path = save(
        pulls("a", lambda size, _: size / 10, strategy="streaming"),
        pulls("b", lambda size, _: 6.0 * size),
    )
    row = found(compare(measure(path, 200, 1)), factor="strategy", **POOLED)
    assert (row["baseline_run"], row["treatment_run"]) == ("b", "a")
    assert row["ratio"] < 0.1


def test_a_comparison_for_each_cluster_size_and_image(save: Callable[..., Path]) -> None:
    def both(run: str, factor: float, **design: Any) -> list[Iterator[Row]]:
        return [
            pulls(run, lambda size, _: factor * size, nodes=nodes, **design) for nodes in (6, 14)
        ]

    path = save(*both("r1", 6.0), *both("r2", 3.0, platform="gce/b"))
    rows = [row for row in compare(measure(path, 200, 1)) if row["factor"] == "platform"]
    medians = [row for row in rows if row["measure"] == "median"]
    scopes = {(row["cluster_size"], row["nominal_bytes"], row["subject"]) for row in medians}
    sizes = [size * GIGABYTE for size in (1, 5, 20)]
    images = [(size, f"9 layers, {size // GIGABYTE} GB") for size in sizes]
    assert len(scopes) == len(medians)
    assert scopes == {
        (nodes, *image)
        for nodes in (None, 6, 14)
        for image in [(None, None), *((size, None) for size in sizes), *images]
    }
    for row in medians:
        assert row["ratio"] == pytest.approx(0.5, rel=0.2)
        assert row["cells"] == (2 if row["cluster_size"] is None else 1) * (
            3 if row["nominal_bytes"] is None else 1
        )


def test_a_disk_that_is_known_is_a_factor(save: Callable[..., Path]) -> None:
    path = save(
        pulls("r1", lambda size, _: 6.0 * size, disk="fast"),
        pulls("r2", lambda size, _: 9.0 * size, disk="slow"),
        pulls("r3", lambda size, _: 9.0 * size),
    )
    rows = [row for row in compare(measure(path, 50, 1)) if row["measure"] == "median"]
    factors = {(row["baseline_run"], row["treatment_run"]): row["factor"] for row in rows}
    assert factors == {("r1", "r2"): "disk", ("r1", "r3"): "repetition", ("r2", "r3"): "repetition"}


def test_the_time_until_ready_is_compared_where_it_is_known(save: Callable[..., Path]) -> None:
    path = save(
        pulls("ready-1", lambda size, _: 6.0 * size, sigma=0.01),
        pulls("ready-2", lambda size, _: 12.0 * size, sigma=0.01, disk="slow"),
        pulls("r3", lambda size, _: 9.0 * size),
    )
    rows = [row for row in compare(measure(path, 50, 1)) if row["measure"] == "median_until_ready"]
    pooled = POOLED | {"measure": "median_until_ready"}
    row = found(iter(rows), **pooled)
    assert (row["baseline_run"], row["treatment_run"]) == ("ready-1", "ready-2")
    assert row["ratio"] == pytest.approx(2, rel=0.02)


def test_repetitions_do_not_spread_nodes(save: Callable[..., Path]) -> None:
    """What was pulled again a minute later was not pulled by a node that is a minute late."""
    [once] = find_spreads(save(pulls("r", lambda size, _: 10.0, nodes=5, sizes=(1,))), 1)
    rows = list(pulls("r", lambda size, _: 10.0, nodes=5, sizes=(1,)))
    minute = 60 * 10**6
    again = [
        row | {"attempt": 2} | {k: row[k] + minute for k in ("started_at_utc", "pulled_at_utc")}
        for row in rows
    ]
    [twice] = find_spreads(save(iter(rows + again)), 1)
    assert twice["nodes"] == 5
    for name in ("start_spread_seconds", "finish_spread_seconds", "wait_seconds"):
        assert twice[name] == pytest.approx(once[name])


def test_levels_within_a_run(save: Callable[..., Path]) -> None:
    """Layers cost 35 ms each: much of a small image, nothing of a large one."""
    path = save(
        pulls("r1", lambda size, layers: 6.0 * size + 0.035 * layers, layers=(1, 9, 50, 100)),
        pulls(
            "r1", lambda size, layers: 6.0 * size + 0.035 * layers, nodes=6, layers=(1, 9, 50, 100)
        ),
    )
    measured = measure(path, 300, 1)
    rows = list(compare(measured))
    layers = {"factor": "layers", "cluster_size": 14, "measure": "median", "treatment": "100"}
    small = found(iter(rows), nominal_bytes=GIGABYTE, **layers)
    large = found(iter(rows), nominal_bytes=20 * GIGABYTE, **layers)
    assert small["ratio"] == pytest.approx(9.5 / 6.035)
    # The same nodes pulled both: their speed does not blur the comparison.
    assert small["ratio_high"] - small["ratio_low"] < 0.01
    assert large["ratio"] == pytest.approx(123.5 / 120.035)
    nodes = found(iter(rows), factor="cluster_size", **POOLED)
    assert (nodes["baseline"], nodes["treatment"], nodes["cells"]) == ("6", "14", 12)
    assert nodes["ratio_low"] < 1 < nodes["ratio_high"]
    trend = found(find_trends(measured), variable="layers", cluster_size=14, nominal_bytes=GIGABYTE)
    assert trend["seconds_per_unit"] == pytest.approx(0.035, rel=0.1)
    assert (
        trend["seconds_per_unit_low"] <= trend["seconds_per_unit"] <= trend["seconds_per_unit_high"]
    )


def test_the_time_grows_with_the_size(save: Callable[..., Path]) -> None:
    path = save(pulls("r1", lambda size, _: 0.5 + 6.0 * size, sizes=(1, 3, 9, 20), sigma=0.001))
    [trend] = find_trends(measure(path, 300, 1))
    assert (trend["variable"], trend["layers"]) == ("nominal_gigabytes", 9)
    assert trend["seconds_per_unit"] == pytest.approx(6.0, rel=0.01)
    assert trend["intercept_seconds"] == pytest.approx(0.5, abs=0.05)


def test_other_images_under_the_same_name_are_told_apart(save: Callable[..., Path]) -> None:
    path = save(
        pulls("r1", lambda size, _: 6.0 * size),
        pulls("r2", lambda size, _: 5.0 * size, repository="near/b", strategy="local_ssd"),
    )
    assert {row["factor"] for row in compare(measure(path, 50, 1))} == {"strategy+repository"}


def test_spreads_grow_with_the_cluster_as_order_statistics_say(save: Callable[..., Path]) -> None:
    groups = [
        pulls("r1", lambda size, _: 6.0 * size, nodes=nodes, seed=seed, sizes=(20 + seed,))
        for nodes in (4, 16, 64)
        for seed in range(100)
    ]
    rows = list(find_spreads(save(*groups), 1))
    assert len(rows) == 300
    by_nodes = {}
    for nodes in (4, 16, 64):
        chosen = [row for row in rows if row["nodes"] == nodes]
        size = np.array([row["nominal_bytes"] / GIGABYTE for row in chosen])
        observed = np.mean([row["finish_spread_seconds"] for row in chosen] / size)
        expected = np.mean([row["expected_finish_spread_seconds"] for row in chosen] / size)
        assert expected == pytest.approx(observed, rel=0.08)
        by_nodes[nodes] = observed
    assert by_nodes[4] < by_nodes[16] < by_nodes[64]


def test_what_a_spread_says_of_its_nodes(save: Callable[..., Path]) -> None:
    row = next(find_spreads(save(pulls("r1", lambda size, _: 10.0, nodes=5, sizes=(1,))), 1))
    table = pq.read_table(save(pulls("r1", lambda size, _: 10.0, nodes=5, sizes=(1,)))).to_pydict()
    ends = np.array([at.timestamp() for at in table["pulled_at_utc"]])
    assert row["nodes"] == 5
    assert row["slowest_seconds"] == pytest.approx(max(table["seconds"]))
    assert row["finish_spread_seconds"] == pytest.approx(ends.max() - ends.min(), abs=1e-3)
    assert row["wait_seconds"] == pytest.approx((ends.max() - ends).mean(), abs=1e-3)


def test_the_tables_keep_the_contract_and_repeat(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save(
        pulls("r1", lambda size, _: 6.0 * size, sizes=(1, 2, 3, 4)),
        pulls("r3", lambda size, _: 4.8 * size, strategy="local_ssd"),
    )
    for name in ("a", "b"):
        write_comparisons(path, tmp_path / name, 200, 1)
    for table in ("comparisons", "trends", "spreads"):
        files = [tmp_path / name / f"{table}.parquet" for name in ("a", "b")]
        assert pq.read_schema(files[0]) == TABLES[table].schema
        assert files[0].read_bytes() == files[1].read_bytes()
        assert pq.read_metadata(files[0]).num_rows > 0


def test_nothing_to_compare(save: Callable[..., Path]) -> None:
    one = list(pulls("r1", lambda size, _: 6.0 * size, nodes=1, sizes=(1,)))
    path = save(iter(one))
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(EmptyCorpus, match="holds no pull"):
        measure(path, 10, 1)
