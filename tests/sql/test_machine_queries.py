"""The queries of pulls on one machine, and what they leave to clusters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.pulls.comparisons import write_comparisons
from pullstudy.pulls.record import Node, Pull, PullWriter
from pullstudy.query import list_views, run_query

SQL = Path(__file__).parents[2] / "workflow/sql"
SECOND = 1_000_000
START = 1_731_219_265 * SECOND
Answer = Callable[[str], list[dict[str, Any]]]
LOCAL, CLOUD = "local/x86_64-2-cpus", "gce/n1-standard-16"


def pull(
    run: str, seconds: float, nodes: int = 1, platform: str = LOCAL, **columns: Any
) -> list[Pull]:
    """Three repetitions on each node: half download, half unpacking, then a start of one second."""
    study = "lab" if platform == LOCAL else "cloud"
    host = {"far": "far.example", "cold-cache": "cache.example"}.get(run, "near.example")
    return [
        Pull(
            study=study, run=run, strategy="plain", platform=platform, cluster_size=nodes,
            node=f"node-{node}", attempt=attempt, registry=host,
            image=f"{host}/a/{columns.get('content', 'bytes')}:1",
            layers=columns.get("layers", 9), nominal_bytes=10**9, requested_at_utc=START,
            pulled_at_utc=START + round(seconds * SECOND),
            ready_at_utc=START + round((seconds + 1) * SECOND), seconds=seconds,
            download_seconds=seconds / 2, unpack_seconds=seconds / 2, outcome="pulled",
        )
        for node in range(nodes)
        for attempt in (1, 2, 3)
    ]  # fmt: skip


PULLS = [
    *pull("near", 4.0),
    *pull("near", 5.0, nodes=2),
    *pull("layers", 4.0),
    *pull("layers", 6.0, layers=125),
    *pull("zeros", 1.0, content="zeros"),
    *pull("far", 8.0),
    *pull("cold-cache", 10.0),
    *pull("slow-disk", 12.0),
]


def answer_from(pulls: list[Pull], out: Path) -> Answer:
    nodes = {
        (p.run, p.cluster_size, p.node): Node(
            study=p.study, run=p.run, platform=p.platform, cluster_size=p.cluster_size, node=p.node,
            boot_disk="80 MB/s" if p.run == "slow-disk" else "not limited", cpus=2,
        )
        for p in pulls
    }  # fmt: skip
    with PullWriter(out) as writer:
        writer.write_pulls(pulls)
        writer.write_nodes(list(nodes.values()))

    def file_of(view: str) -> Path:
        path = out / f"{view}.parquet"
        if not path.exists() and view == "comparisons":
            write_comparisons(file_of("measured_pulls"), out, 100, 1)
        elif not path.exists():
            sql = SQL / f"{view}.sql"
            run_query(sql, {name: [file_of(name)] for name in list_views(sql)}, path)
        return path

    return lambda query: pq.read_table(file_of(query)).to_pylist()


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return answer_from(PULLS, tmp_path_factory.mktemp("machine"))


def test_each_change_is_told_in_its_own_direction(answer: Answer) -> None:
    """Whichever run's name comes first in the alphabet."""
    rows = answer("fig_pull_time_by_change")
    pulled = {row["change"]: row["ratio"] for row in rows if row["measure"] == "pulled"}
    assert pulled == {
        "bytes instead of zeros": pytest.approx(4),
        "nothing: measured twice": pytest.approx(1),
        "a distant registry": pytest.approx(2),
        "a cold cache before it": pytest.approx(10 / 8),
        "a slow disk": pytest.approx(3),
        "125 layers instead of 9 (layers)": pytest.approx(1.5),
        "2 nodes instead of 1 (near)": pytest.approx(1.25),
    }
    ready = {row["change"]: row for row in rows if row["measure"] == "ready"}
    assert ready.keys() == pulled.keys()
    cache = ready["a cold cache before it"]
    assert (cache["baseline_seconds"], cache["treatment_seconds"]) == pytest.approx((9, 11))
    for row in rows:
        assert row["ratio_low"] <= row["ratio"] * (1 + 1e-9)
        assert row["ratio"] <= row["ratio_high"] * (1 + 1e-9)
    assert {row["factor"] for row in rows if row["change"] == "a slow disk"} == {"disk"}


def test_phases_of_the_smallest_cluster_and_of_all(answer: Answer) -> None:
    rows = {(row["run"], row["layers"]): row for row in answer("fig_pull_phases_by_run")}
    near = rows["near", 9]
    assert (near["cluster_size"], near["pulls"]) == (1, 3)
    phases = [near[f"{name}_seconds"] for name in ("download", "unpack", "rest", "start")]
    assert phases == pytest.approx([2, 2, 0, 1])
    assert near["download_share"] == pytest.approx(2 / 5)
    by_nodes = [(row["run"], row["cluster_size"]) for row in answer("fig_pull_phases_by_nodes")]
    assert by_nodes == [("near", 1), ("near", 2)]


def test_a_machine_is_named_with_its_date(answer: Answer) -> None:
    [row] = answer("tab_machine_runs")
    assert (row["study"], row["platform"], row["cpus"], row["runs"]) == ("lab", LOCAL, 2, 6)
    assert row["pulls"] == len(PULLS)
    assert row["first_at_utc"].timestamp() == START // SECOND // 60 * 60


def test_clusters_are_shown_without_what_one_machine_measured(tmp_path: Path) -> None:
    cloud = pull("run1", 30.0, nodes=4, platform=CLOUD)
    rows = answer_from(PULLS + cloud, tmp_path)("cluster_pulls")
    assert {row["run"] for row in rows} == {"run1"}
    assert len(rows) == len(cloud)


def test_a_machine_alone_is_shown_like_a_cluster(answer: Answer) -> None:
    assert len(answer("cluster_pulls")) == len(PULLS)
