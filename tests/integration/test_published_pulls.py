"""The published pull runs, replayed: every count and statistic that was measured on them."""

import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

import duckdb
import pytest

from pullstudy.pulls.calibration import read_measurements
from pullstudy.pulls.comparisons import write_comparisons
from pullstudy.pulls.extrapolate import Plan, extrapolate
from pullstudy.pulls.holdout import hold_out
from pullstudy.pulls.record import PULL_TABLES
from pullstudy.pulls.replay import replay_archive

pytestmark = pytest.mark.integration

SQL = Path(__file__).parents[2] / "workflow/sql"
SIZES = [1176249324, 2770722493, 6836726027, 10902729561, 14968733095, 19034736629]
ALLOWANCE = 5_000_000


@pytest.fixture(scope="module")
def published(published_archive: Path) -> dict[str, bytes]:
    """All event logs, by path."""
    found = {}
    with tarfile.open(published_archive, "r|gz") as tar:
        for member in tar:
            path = PurePosixPath(*PurePosixPath(member.name).parts[2:]).as_posix()
            if path.startswith("pulling") and "events-size" in path:
                file = tar.extractfile(member)
                if file is not None:
                    found[path] = file.read()
    return found


@pytest.fixture(scope="module")
def folder(published_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pulls")
    replay_archive(published_archive, out)
    return out


@pytest.fixture(scope="module")
def tables(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables and every query of the pull runs, as views."""
    connection = duckdb.connect()
    for name in PULL_TABLES:
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder / name}.parquet'")
    for name in ("measured_pulls", "measured_pulls_as_published", "cluster_pulls"):
        create_view(connection, name)
    connection.execute(
        f"COPY measured_pulls TO '{folder / 'measured_pulls.parquet'}' (FORMAT parquet)"
    )
    write_comparisons(folder / "measured_pulls.parquet", folder, resamples=400, seed=1)
    for name in ("comparisons", "trends", "spreads"):
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder / name}.parquet'")
    for name in (
        "measured_jobs",
        "fig_time_to_run_by_strategy",
        "fig_pull_time_by_disk",
        "fig_pull_time_by_disk_as_published",
        "fig_spread_by_nodes",
    ):
        create_view(connection, name)
    yield connection
    connection.close()


def create_view(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {(SQL / name).with_suffix('.sql').read_text()}")


def answer(tables: duckdb.DuckDBPyConnection, query: str, where: str = "true") -> dict[str, Any]:
    """The one row of a query that fits."""
    text = (SQL / query).with_suffix(".sql").read_text()
    found = tables.execute(f"SELECT * FROM ({text}) WHERE {where}")
    names = [column[0] for column in found.description or []]
    [row] = found.fetchall()
    return dict(zip(names, row, strict=True))


def rows(tables: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return tables.execute(query).fetchall()


def naive_reports(published: dict[str, bytes]) -> dict[tuple[str, str, str], list[float]]:
    """Durations by (folder, image, node) with nothing but a search for the message."""
    found = defaultdict(list)
    pattern = re.compile(r'^Successfully pulled image "([^"]+)" in (?:(\d+)m)?([\d.]+)(m?s) ')
    for path, content in published.items():
        for line in content.splitlines():
            event = json.loads(line) if line.startswith(b'{"metadata"') else {}
            match = pattern.match(event.get("message", ""))
            if match:
                seconds = float(match[3]) / (1000 if match[4] == "ms" else 1)
                key = (path.rsplit("/", 1)[0], match[1], event["source"]["host"])
                found[key].append(int(match[2] or 0) * 60 + seconds)
    return found


def test_every_report_is_in_exactly_one_pull(
    published: dict[str, bytes], tables: duckdb.DuckDBPyConnection
) -> None:
    expected = {
        (key[1], key[2], tuple(sorted(round(value, 6) for value in seconds)))
        for key, seconds in naive_reports(published).items()
    }
    found = {
        (image, node, tuple(sorted(round(value, 6) for value in seconds)))
        for image, node, seconds in rows(
            tables, "SELECT image, node, reported_seconds FROM pulls WHERE outcome = 'pulled'"
        )
    }
    assert expected <= found


def test_each_machine_type_reported_284_pulls(tables: duckdb.DuckDBPyConnection) -> None:
    query = """SELECT run, sum(reports), count(*) FROM pulls
        WHERE study = 'pulling-test' AND nominal_bytes IS NOT NULL AND outcome = 'pulled'
        GROUP BY run ORDER BY run"""
    assert rows(tables, query) == [("n1-standard-16", 284, 124), ("n1-standard-64", 284, 150)]


def test_clusters_pulled_on_two_nodes_less(tables: duckdb.DuckDBPyConnection) -> None:
    query = """SELECT run, cluster_size, count(DISTINCT node) FROM pulls
        WHERE run IN ('run1', 'run2', 'run3', 'run4') AND nominal_bytes IS NOT NULL
        GROUP BY ALL"""
    found = rows(tables, query)
    assert len(found) == 12
    assert all(nodes == size - 2 for _, size, nodes in found)


@pytest.mark.parametrize(
    ("run", "nodes", "medians"),
    [
        ("run1", 4, [7.21, 16.0, 40.8, 77.3, 106.3, 138.9]),
        ("run1", 16, [7.07, 15.3, 38.3, 66.7, 94.6, 121.4]),
        ("run2", 16, [6.79, 15.3, 39.7, 70.9, 96.2, 125.2]),
        ("run3", 16, [6.86, 14.9, 37.2, 60.0, 80.7, 103.1]),
        ("run4", 4, [2.23, 7.32, 10.1, 11.9, 15.4, 18.5]),
        ("run4", 16, [0.62, 0.54, 0.56, 0.63, 0.59, 0.60]),
    ],
)
def test_median_pull_times_of_all_reports(
    tables: duckdb.DuckDBPyConnection, run: str, nodes: int, medians: list[float]
) -> None:
    query = f"""SELECT nominal_bytes - {ALLOWANCE}, median(unnested.seconds)
        FROM pulls, (SELECT unnest(reported_seconds) AS seconds) AS unnested
        WHERE run = '{run}' AND cluster_size = {nodes} AND layers = 9
        GROUP BY 1 ORDER BY 1"""
    found = rows(tables, query)
    assert [size for size, _ in found] == SIZES
    for (_, seconds), published in zip(found, medians, strict=True):
        assert seconds == pytest.approx(published, abs=0.05 if published > 2 else 0.01)


def test_nominal_and_real_bytes(tables: duckdb.DuckDBPyConnection) -> None:
    """The manifest's layers, and beside them its config and itself: some 5 kB."""
    query = f"""SELECT DISTINCT nominal_bytes - {ALLOWANCE}, compressed_bytes FROM pulls
        WHERE run = 'run1' ORDER BY 1"""
    layers = [3364262, 4913940, 8865814, 12817658, 16769489, 20721276]
    found = [row for row in rows(tables, query) if row[0] is not None]
    assert [size for size, _ in found] == SIZES
    for (_, real), expected in zip(found, layers, strict=True):
        assert expected < real < expected + 6000


def test_streaming_of_applications(tables: duckdb.DuckDBPyConnection) -> None:
    def seconds(run: str, size: int) -> float:
        query = f"""SELECT seconds FROM pulls WHERE run = '{run}' AND cluster_size = {size}
            AND image LIKE '%/ensemble-%'"""
        return median(row[0] for row in rows(tables, query))

    assert seconds("streaming", 4) == pytest.approx(36.8, abs=0.1)
    assert seconds("without-streaming", 4) == pytest.approx(13.7, abs=0.1)
    assert seconds("streaming", 64) == pytest.approx(1.2, abs=0.05)
    assert seconds("without-streaming", 64) == pytest.approx(13.4, abs=0.3)


def test_the_digest_reaches_64_nodes(tables: duckdb.DuckDBPyConnection) -> None:
    query = """SELECT run, cluster_size, count(*), min(platform), min(strategy) FROM pulls
        WHERE image LIKE '%/ensemble-%' AND cluster_size > 16 GROUP BY ALL ORDER BY ALL"""
    machine = "gce/n1-standard-16"
    assert rows(tables, query) == [
        ("streaming", 32, 128, machine, "streaming"),
        ("streaming", 64, 256, machine, "streaming"),
        ("without-streaming", 32, 128, machine, "plain"),
        ("without-streaming", 64, 256, machine, "plain"),
    ]


def test_the_whole_job_of_the_largest_image(tables: duckdb.DuckDBPyConnection) -> None:
    query = f"""SELECT run, seconds FROM jobs WHERE cluster_size = 16
        AND image LIKE '%-size-{SIZES[-1]}-bytes'"""
    found = dict(rows(tables, query))
    assert found["run1"] == pytest.approx(169, abs=1)
    assert found["run3"] == pytest.approx(122, abs=1)
    assert found["run4"] == pytest.approx(112, abs=1)


def test_the_first_pulls_failed_and_were_tried_again(tables: duckdb.DuckDBPyConnection) -> None:
    query = """SELECT attempt, sum(reports) FROM pulls WHERE outcome = 'failed'
        GROUP BY attempt ORDER BY attempt"""
    assert rows(tables, query) == [(1, 4), (2, 4)]
    for (error,) in rows(tables, "SELECT error FROM pulls WHERE outcome = 'failed'"):
        assert "failed to fetch anonymous token" in error


def test_every_line_of_every_log_is_accounted_for(
    published: dict[str, bytes], tables: duckdb.DuckDBPyConnection
) -> None:
    """Of the lines that are no event none is missing among the dropped."""
    noise = 0
    for content in published.values():
        noise += sum(not line.startswith(b'{"metadata"') for line in content.splitlines())
    query = "SELECT sum(count) FROM dropped WHERE what = 'line' AND path LIKE '%events-size%'"
    assert rows(tables, query) == [(noise,)]


def test_local_ssd_as_published_and_corrected(tables: duckdb.DuckDBPyConnection) -> None:
    runs = "baseline_run = 'run1' AND treatment_run = 'run3'"
    published = answer(tables, "tab_disk_effect_as_published", runs)
    assert published["speedup"] == pytest.approx(1.14, abs=0.005)
    assert published["smallest_speedup"] == pytest.approx(1.03, abs=0.005)
    assert published["largest_speedup"] == pytest.approx(1.39, abs=0.005)
    corrected = answer(tables, "tab_disk_effect", runs)
    assert corrected["speedup_low"] < 1.147 < corrected["speedup_high"] < 1.25
    assert corrected["steadiness_low"] > 2
    largest = answer(
        tables,
        "fig_pull_time_by_disk_as_published",
        f"{runs} AND cluster_size = 16 AND size_bytes > 19e9",
    )
    assert largest["steadiness"] == pytest.approx(6, abs=0.2)


def test_a_registry_in_the_same_cloud_changes_nothing(tables: duckdb.DuckDBPyConnection) -> None:
    row = answer(
        tables, "fig_pull_time_by_registry", "cluster_size IS NULL AND nominal_bytes IS NULL"
    )
    assert row["ratio_low"] < 1 < row["ratio_high"]
    assert row["ratio"] == pytest.approx(1.0, abs=0.01)


def test_streaming_moves_the_cost_behind_the_event(tables: duckdb.DuckDBPyConnection) -> None:
    cold = answer(tables, "tab_streaming", "kind = 'application' AND cluster_size = 4")
    assert cold["pull_ratio"] == pytest.approx(2.65, abs=0.05)
    warm = answer(tables, "tab_streaming", "kind = 'application' AND cluster_size = 8")
    assert 1 / warm["pull_ratio"] == pytest.approx(11, abs=0.2)
    crafted = answer(tables, "tab_streaming", "kind = 'crafted' AND cluster_size = 16")
    assert crafted["pull_ratio"] < 0.02
    assert crafted["job_ratio"] > 0.6
    assert crafted["treatment_largest_job_seconds"] == pytest.approx(112, abs=1)


def test_a_layer_costs_some_thirty_milliseconds(tables: duckdb.DuckDBPyConnection) -> None:
    where = "run = 'n1-standard-16' AND nominal_bytes = 53702097"
    small = answer(tables, "tab_layer_cost", where)
    assert small["layer_counts"] == 18
    assert 0.02 < small["seconds_per_layer_low"] < 0.037 < small["seconds_per_layer_high"] < 0.05
    one, hundred = (
        answer(tables, "fig_pull_time_by_layers", f"{where} AND layers = {layers}")["median"]
        for layers in (1, 100)
    )
    assert one == pytest.approx(0.98, abs=0.01)
    assert hundred == pytest.approx(4.56, abs=0.01)
    large = answer(tables, "tab_layer_cost", "run = 'n1-standard-16' AND nominal_bytes > 19e9")
    assert large["seconds_per_layer_low"] < 0 < large["seconds_per_layer_high"]


def test_machine_types(tables: duckdb.DuckDBPyConnection) -> None:
    published = answer(tables, "fig_pull_time_by_machine_as_published")
    assert published["speedup"] == pytest.approx(1.18, abs=0.002)
    row = answer(tables, "fig_pull_time_by_machine", "nominal_bytes IS NULL")
    assert (row["images"], row["baseline_run"]) == (71, "n1-standard-16")
    assert row["speedup_low"] < 1.028 < row["speedup_high"]


def test_what_was_crafted(tables: duckdb.DuckDBPyConnection) -> None:
    row = answer(tables, "tab_crafted_images", "repository LIKE '%-run1'")
    assert (row["images"], row["sizes"], row["layer_counts"]) == (38, 19, 2)
    assert (row["fewest_layers"], row["most_layers"], row["shared_layers"]) == (9, 125, 1)
    assert row["largest_shrinkage"] == pytest.approx(919, abs=0.5)


def test_chance_explains_how_far_nodes_are_apart(tables: duckdb.DuckDBPyConnection) -> None:
    for run in ("run1", "run2", "run3"):
        row = answer(tables, "tab_spread_by_nodes", f"run = '{run}' AND cluster_size = 16")
        assert row["explained"] == pytest.approx(1, abs=0.15)


def test_the_model_predicts_runs_and_clusters_it_was_not_calibrated_on(
    folder: Path, tables: duckdb.DuckDBPyConnection
) -> None:
    measured = folder / "measured_pulls.parquet"
    for kind, runs in (("crafted", 5), ("application", 1)):
        rows = list(hold_out(read_measurements(measured, kind)))
        assert len({row["run"] for row in rows}) == runs
        for row in rows:
            if row["held_out"] != "size":
                assert row["median_error"] <= 0.15, row


def test_what_the_published_runs_cannot_tell_a_model(
    folder: Path, tables: duckdb.DuckDBPyConnection
) -> None:
    out = folder / "model"
    count = extrapolate(
        folder / "measured_pulls.parquet",
        [folder / "pull_images.parquet"],
        out,
        Plan([256], ["run1"]),
    )
    assert count == 256 * len(
        rows(tables, "SELECT DISTINCT layers, nominal_bytes FROM pull_images WHERE layers > 0")
    )
    parameters = f"SELECT parameter, is_identified FROM '{out / 'model_parameters.parquet'}'"
    found = dict(rows(tables, f"{parameters} WHERE run IS NULL"))
    untold = {name for name, is_identified in found.items() if not is_identified}
    assert {"node_bytes_per_second", "egress_bytes_per_second"} <= untold
    assert {"base_seconds", "layer_seconds", "knee_gigabytes"} <= set(found) - untold
