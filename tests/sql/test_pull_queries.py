"""The queries of the pull runs on rows whose answers are computed by hand."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.pulls.record import Job, Node, Pull, PullWriter
from pullstudy.query import list_views, run_query

SQL = Path(__file__).parents[2] / "workflow/sql"
SECOND = 1_000_000
START = 1_731_219_265 * SECOND
GIGABYTE = 10**9
Answer = Callable[[str], list[dict[str, Any]]]

# (run, strategy, image, node, start, seconds of each report)
Row = tuple[str, str, str, str, float, list[float]]
APPLICATION = "far.io/team/ensemble-lammps:1"


def crafted(gigabytes: int) -> str:
    return f"far.io/a/b:9-layers-size-{gigabytes * GIGABYTE - 5_000_000}-bytes"


ROWS: list[Row] = [
    ("plain", "plain", crafted(1), "n1", 0.0, [7.0, 6.0]),
    ("plain", "plain", crafted(1), "n2", 0.5, [8.0]),
    ("plain", "plain", crafted(1), "n3", 1.0, [12.0]),
    ("plain", "plain", crafted(20), "n1", 20.0, [100.0]),
    ("plain", "plain", crafted(20), "n2", 20.0, [140.0]),
    ("plain", "plain", APPLICATION, "n1", 200.0, [14.0]),
    ("streamed", "streaming", crafted(1), "m1", 0.0, [0.5]),
    ("streamed", "streaming", crafted(20), "m1", 10.0, [0.6]),
    ("streamed", "streaming", APPLICATION, "m1", 100.0, [28.0]),
]
JOB_SECONDS = {
    ("plain", crafted(1)): 20.0,
    ("plain", crafted(20)): 160.0,
    ("plain", APPLICATION): 90.0,
    ("streamed", crafted(1)): 10.0,
    ("streamed", crafted(20)): 110.0,
    ("streamed", APPLICATION): 120.0,
}


def pull(row: Row) -> Pull:
    run, strategy, image, node, start, reported = row
    nominal, size = image.partition("size-")[2].partition("-")[0], None
    if nominal:
        size = int(nominal) + 5_000_000
    begin = START + round(start * SECOND)
    end = begin + round(reported[0] * SECOND)
    return Pull(
        study="s", run=run, strategy=strategy, platform="gce/a", cluster_size=4, node=node,
        image=image, registry="far.io", layers=9 if size else None, nominal_bytes=size,
        scheduled_at_utc=begin - SECOND, requested_at_utc=begin, started_at_utc=begin,
        pulled_at_utc=end, ready_at_utc=end + SECOND, seconds=reported[0], outcome="pulled",
        job=f"{run}-{image}", reports=len(reported), reported_seconds=reported,
    )  # fmt: skip


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    out = tmp_path_factory.mktemp("tables")
    pulls = [pull(row) for row in ROWS]
    pulls += [
        Pull(
            study="s", run="plain", node="n1", image="k8s.io/pause:3", seconds=0.4, outcome="pulled"
        ),
        Pull(study="s", run="plain", node="n4", image=crafted(1), outcome="failed", error="429"),
        Pull(study="s", run="plain", node="n4", image="k8s.io/pause:3", outcome="present"),
    ]
    jobs = [
        Job(study="s", run=run, cluster_size=4, job=f"{run}-{image}", name="pull", image=image,
            nodes=1, seconds=seconds, outcome="completed")
        for (run, image), seconds in JOB_SECONDS.items()
    ]  # fmt: skip
    nodes = [
        Node(study="s", run=run, strategy="plain", cluster_size=size, node=f"{run}-{size}-{n}")
        for run, size in (("plain", 4), ("plain", 8))
        for n in range(size)
    ]
    with PullWriter(out) as writer:
        writer.write_pulls(pulls)
        writer.write_jobs(jobs)
        writer.write_nodes(nodes)
        writer.write_dropped("s", "a.json", Counter({("line", "cut_off", None): 2}))
        writer.write_dropped("s", "b.json", Counter({("line", "cut_off", None): 3}))

    def file_of(view: str) -> Path:
        path = out / f"{view}.parquet"
        if not path.exists():
            sql = SQL / f"{view}.sql"
            run_query(sql, {name: [file_of(name)] for name in list_views(sql)}, path)
        return path

    return lambda query: pq.read_table(file_of(query)).to_pylist()


def test_measured_pulls_leave_out_what_the_study_did_not_choose(answer: Answer) -> None:
    rows = answer("measured_pulls")
    assert len(rows) == len(ROWS)
    assert {row["subject"] for row in rows} == {
        "9 layers, 1000000000 bytes",
        "9 layers, 20000000000 bytes",
        "ensemble-lammps:1",
    }
    assert {row["repository"] for row in rows} == {"far.io/a/b", "far.io/team/ensemble-lammps"}


def test_the_paper_counts_reports_and_takes_the_allowance_off_twice(answer: Answer) -> None:
    rows = answer("measured_pulls_as_published")
    assert sorted(row["seconds"] for row in rows if row["run"] == "plain") == [
        6,
        7,
        8,
        12,
        100,
        140,
    ]
    assert {row["size_bytes"] for row in rows} == {990_000_000, 19_990_000_000}


def test_pull_time_by_size(answer: Answer) -> None:
    small = answer("fig_pull_time_by_size")[0]
    assert (small["run"], small["pulls"], small["median"], small["maximum"]) == ("plain", 3, 8, 12)
    assert small["mean"] == pytest.approx(9)
    assert answer("fig_pull_time_by_size_as_published")[0]["median"] == 7.5


def test_streaming_by_event_and_by_job(answer: Answer) -> None:
    application, images = answer("tab_streaming")
    assert application["pull_ratio"] == pytest.approx(2)
    assert application["job_ratio"] == pytest.approx(120 / 90)
    assert images["images"] == 2
    assert images["pull_ratio"] == pytest.approx((0.5 / 8 * 0.6 / 120) ** 0.5)
    assert images["job_ratio"] == pytest.approx((10 / 20 * 110 / 160) ** 0.5)
    assert images["treatment_largest_job_seconds"] == 110


def test_nodes_are_clocked_from_the_first_pod(answer: Answer) -> None:
    rows = [row for row in answer("fig_node_coordination") if row["run"] == "plain"][:3]
    assert [row["node"] for row in rows] == ["n1", "n2", "n3"]
    assert [row["scheduled_seconds"] for row in rows] == [0, 0.5, 1.0]
    assert [row["pulled_seconds"] for row in rows] == [8, 9.5, 14]
    assert [row["ready_seconds"] for row in rows] == [9, 10.5, 15]


def test_experiment_time(answer: Answer) -> None:
    rows = {(row["run"], row["kind"]): row for row in answer("fig_experiment_time_by_nodes")}
    plain = rows["plain", "crafted"]
    # From a second before the first start until a second after the last end.
    assert plain["experiment_seconds"] == pytest.approx(1 + 20 + 140 + 1)
    assert plain["slowest_pull_seconds"] == 12 + 140
    assert plain["median_pull_seconds"] == 8 + 120
    assert (plain["images"], plain["job_seconds"]) == (2, 180)


def test_clusters_without_events_are_listed(answer: Answer) -> None:
    found = [(r["cluster_size"], r["nodes"], r["pulling_nodes"]) for r in answer("tab_pull_runs")]
    assert found == [(4, 4, 3), (8, 8, 0)]


def test_outcomes_and_what_was_dropped(answer: Answer) -> None:
    outcomes = {(r["run"], r["outcome"]): r["pulls"] for r in answer("tab_pull_outcomes")}
    assert outcomes["plain", "failed"] == 1
    assert outcomes["plain", "present"] == 1
    [cut_off] = answer("tab_dropped")
    assert (cut_off["count"], cut_off["files"]) == (5, 2)
