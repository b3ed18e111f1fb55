"""The backend `model`, from measured pulls to tables."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pullstudy.errors import EmptyCorpus
from pullstudy.pulls.extrapolate import Plan, extrapolate
from pullstudy.pulls.model import Network
from pullstudy.pulls.record import PULL_TABLES
from pullstudy.tables import TABLES, write_table

GIGABYTE = 10**9
SIZES = (1, 3, 7, 11, 15, 19)


@pytest.fixture
def pulls(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    rows = []
    for run, strategy, flush in (
        ("r1", "plain", 2.0),
        ("r2", "plain", 2.0),
        ("r3", "streaming", 0),
    ):
        for nodes in (6, 14):
            for node in range(nodes):
                speed = random.lognormal(0, 0.1)
                for size in SIZES:
                    seconds = (0.7 + 5.2 * size + flush * max(0, size - 5)) * speed
                    rows.append(
                        {
                            "study": "s", "run": run, "strategy": strategy, "platform": "gce/a",
                            "kind": "crafted", "cluster_size": nodes, "node": f"{run}{nodes}{node}",
                            "subject": f"{size} GB", "layers": 9, "attempt": 1,
                            "nominal_bytes": size * GIGABYTE, "uncompressed_bytes": None,
                            "compressed_bytes": 2_200_000 + size * 1_000_000, "seconds": seconds,
                            "requested_at_utc": round(random.uniform(0, 0.05 * nodes) * 1e6),
                        }
                    )  # fmt: skip
    table = pa.Table.from_pylist(rows)
    for name, kind in (
        ("requested_at_utc", pa.timestamp("us")),
        ("uncompressed_bytes", pa.int64()),
    ):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(kind))
    pq.write_table(table, tmp_path / "measured.parquet")
    return tmp_path / "measured.parquet"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    sizes = [size * GIGABYTE for size in (1, 19, 40)]
    columns = {
        "study": ["s"] * 3,
        "image": [f"a/b:9-layers-size-{size - 5_000_000}-bytes" for size in sizes],
        "layers": [9] * 3,
        "manifest_layers": [9] * 3,
        "nominal_bytes": sizes,
        "compressed_bytes": [3_000_000, 21_000_000, 42_000_000],
        "largest_layer_bytes": [2_220_027] * 3,
        "shared_layers": [1] * 3,
    }
    write_table("pull_images", tmp_path / "images.parquet", columns)
    return tmp_path / "images.parquet"


def test_all_tables_are_written_and_repeat(pulls: Path, images: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert extrapolate(pulls, [images], tmp_path / name, Plan([14, 300], ["r1"])) == 3 * 314
    for table in (*PULL_TABLES, "extrapolations", "model_parameters", "model_errors"):
        files = [tmp_path / name / f"{table}.parquet" for name in ("a", "b")]
        assert pq.read_schema(files[0]) == TABLES[table].schema
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_simulated_cluster_is_like_the_measured_one(
    pulls: Path, images: Path, tmp_path: Path
) -> None:
    extrapolate(pulls, [images], tmp_path, Plan([14, 300]))
    rows = pq.read_table(tmp_path / "extrapolations.parquet").to_pylist()
    assert {row["run"] for row in rows} == {"r1", "r2"}
    measured = pq.read_table(pulls).to_pylist()
    for row in rows:
        seconds = [
            m["seconds"]
            for m in measured
            if m["run"] == row["run"] and m["nominal_bytes"] == row["nominal_bytes"]
        ]
        if seconds:
            assert row["median_seconds"] == pytest.approx(np.median(seconds), rel=0.1)
            assert row["slowest_seconds"] < 1.5 * max(seconds)
        assert 0 < row["held_out_error"] < 0.15
        assert row["times_measured_nodes"] == pytest.approx(row["cluster_size"] / 14)
    largest = [row for row in rows if row["nominal_bytes"] == 40 * GIGABYTE]
    assert all(row["times_measured_bytes"] == pytest.approx(40 / 19) for row in largest)
    waits = {(row["run"], row["cluster_size"]): row["wait_seconds"] for row in largest}
    assert waits["r1", 300] > waits["r1", 14]


def test_a_registry_that_is_felt(pulls: Path, images: Path, tmp_path: Path) -> None:
    def slowest(network: Network, nodes: int) -> float:
        extrapolate(pulls, [images], tmp_path, Plan([nodes], ["r1"], network))
        rows = pq.read_table(tmp_path / "extrapolations.parquet").to_pylist()
        return float(rows[0]["slowest_seconds"])

    narrow = Network(egress_bytes_per_second=5e6)
    assert slowest(narrow, 300) == pytest.approx(300 * 3_000_000 / 5e6, rel=0.2)
    assert slowest(Network(), 300) < 15


def test_what_the_data_cannot_tell_is_listed(pulls: Path, images: Path, tmp_path: Path) -> None:
    extrapolate(pulls, [images], tmp_path, Plan([4], ["r1"]))
    rows = pq.read_table(tmp_path / "model_parameters.parquet").to_pylist()
    told = {row["parameter"] for row in rows if row["is_identified"]}
    untold = {row["parameter"]: row["reason"] for row in rows if not row["is_identified"]}
    assert {"base_seconds", "knee_gigabytes", "unpack_seconds_per_gigabyte"} <= told
    assert {"layer_seconds", "node_bytes_per_second", "egress_bytes_per_second"} <= set(untold)
    assert all(untold.values())


def test_simulated_pulls_are_rows_like_all_others(
    pulls: Path, images: Path, tmp_path: Path
) -> None:
    extrapolate(pulls, [images], tmp_path, Plan([5], ["r1"]))
    rows = pq.read_table(tmp_path / "pulls.parquet").to_pylist()
    assert len(rows) == 15
    for row in rows:
        lasted = (row["pulled_at_utc"] - row["started_at_utc"]).total_seconds()
        assert lasted == pytest.approx(row["seconds"], abs=2e-6)
        assert (row["outcome"], row["cluster_size"], row["strategy"]) == ("pulled", 5, "plain")
    jobs = pq.read_table(tmp_path / "jobs.parquet").to_pylist()
    assert len(jobs) == 3
    assert all(
        job["seconds"] >= max(r["seconds"] for r in rows if r["job"] == job["job"]) for job in jobs
    )


def test_nothing_to_calibrate_on(pulls: Path, images: Path, tmp_path: Path) -> None:
    table = pq.read_table(pulls)
    streamed = table.filter(pa.compute.equal(table["strategy"], "streaming"))
    pq.write_table(streamed, pulls)
    with pytest.raises(EmptyCorpus, match="no pull of crafted images"):
        extrapolate(pulls, [images], tmp_path, Plan([4]))
    pq.write_table(table, pulls)
    pq.write_table(pq.read_table(images).slice(0, 0), images)
    with pytest.raises(EmptyCorpus, match="no crafted image"):
        extrapolate(pulls, [images], tmp_path, Plan([4]))
