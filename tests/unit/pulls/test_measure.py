"""The runner: whatever stops it, the next run goes on and no pull counts twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.errors import PullError
from pullstudy.pulls.backend import ClusterPlan, Trial, TrialResult, job_of
from pullstudy.pulls.measure import JOURNAL, Reporter, measure
from pullstudy.pulls.record import PULL_TABLES, Node
from pullstudy.pulls.study import PullStudy, PullStudyError
from pullstudy.registry.server import serve_layout
from tests.unit.pulls.conftest import add_image, make_tar

STUDY = """
study: s
repetitions: 2
nodes: [1, 3]
images: ["ADDRESS/t/pulled:a", "ADDRESS/t/pulled:b"]
runs: [{run: one}, {run: two, limits: {layers_at_once: 1}}]
"""
# Two runs, two cluster sizes, two images, two repetitions; four nodes in both clusters.
TRIALS, PULLS = 16, 2 * 2 * 2 * (1 + 3)


class Fake:
    """A backend whose pulls take no time; it breaks after so many."""

    name = "fake"
    strategies = ("plain",)

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.left = breaks_after
        self.made: Counter[str] = Counter()

    def check(self, study: PullStudy) -> None:
        """Anything goes."""

    @contextlib.contextmanager
    def open(self, plan: ClusterPlan) -> Iterator[Fake]:
        self.plan = plan
        yield self

    def describe(self) -> list[Node]:
        return [Node(**self.plan.common(), node=f"n{n}") for n in range(self.plan.size)]

    def pull(self, trial: Trial) -> TrialResult:
        self.left -= 1
        if self.left < 0:
            raise PullError("the engine is gone; start it and run again")
        self.made[trial.key] += 1
        pulls = [
            trial.pull_row(f"n{n}", "failed" if n == 2 else "pulled", seconds=1.0)
            for n in range(self.plan.size)
        ]
        return TrialResult(pulls, job_of(trial, pulls, 1, 2), dropped=[("event", "odd", None, 1)])


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Path]:
    for tag in ("a", "b"):
        add_image(tmp_path / "layout", tag, [make_tar({tag: b"x"}), make_tar({"same": b"y"})])
    with serve_layout(tmp_path / "layout") as address:
        path = tmp_path / "pulls.yaml"
        path.write_text(STUDY.replace("ADDRESS", address))
        yield path


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return rows


def read_all(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: read(folder, name) for name in PULL_TABLES}


def test_every_trial_is_in_the_tables_once(study: Path, tmp_path: Path) -> None:
    backend = Fake()
    measured = measure(study, backend, tmp_path / "out", Reporter())
    assert (measured.pulls, measured.trials, measured.done_before) == (PULLS, TRIALS, 0)
    assert measured.failed == 2 * 2 * 2
    assert set(backend.made.values()) == {1}
    pulls = read(tmp_path / "out", "pulls")
    keys = {(p["run"], p["cluster_size"], p["node"], p["image"], p["attempt"]) for p in pulls}
    assert len(keys) == len(pulls) == PULLS
    images = {row["image"]: row for row in read(tmp_path / "out", "pull_images")}
    assert {row["shared_layers"] for row in images.values()} == {1}
    assert all(p["compressed_bytes"] == images[p["image"]]["compressed_bytes"] for p in pulls)
    nodes = read(tmp_path / "out", "nodes")
    assert sum(node["pulls"] for node in nodes) == PULLS - measured.failed
    assert len(read(tmp_path / "out", "jobs")) == TRIALS
    assert read(tmp_path / "out", "dropped") == [
        {"study": "s", "what": "event", "path": JOURNAL, "reason": "odd", "detail": None,
         "count": TRIALS},
    ]  # fmt: skip


def test_a_broken_engine_stops_the_run_and_the_next_goes_on(study: Path, tmp_path: Path) -> None:
    measure(study, Fake(), tmp_path / "whole", Reporter())
    backend = Fake()
    for stop in (3, 1, 0, 5):
        backend.left = stop
        with pytest.raises(PullError, match="run again"):
            measure(study, backend, tmp_path / "out", Reporter())
        assert not (tmp_path / "out/pulls.parquet").exists(), "tables are whole, or not there"
    backend.left = 100
    measured = measure(study, backend, tmp_path / "out", Reporter())
    assert measured.done_before == 9
    assert set(backend.made.values()) == {1}
    whole, resumed = read_all(tmp_path / "whole"), read_all(tmp_path / "out")
    interrupted = [row for row in resumed["dropped"] if row["reason"] == "interrupted"]
    assert sum(row["count"] for row in interrupted) == 4
    for name in PULL_TABLES:
        kept = [row for row in resumed[name] if row not in interrupted]
        assert kept == whole[name]


def test_a_journal_cut_anywhere_gives_the_same_rows(study: Path, tmp_path: Path) -> None:
    measure(study, Fake(), tmp_path / "whole", Reporter())
    content = (tmp_path / "whole" / JOURNAL).read_bytes()
    whole = read_all(tmp_path / "whole")
    for number, end in enumerate(range(0, len(content), len(content) // 20)):
        out = tmp_path / f"out{number}"
        out.mkdir()
        (out / JOURNAL).write_bytes(content[:end])
        backend = Fake()
        measured = measure(study, backend, out, Reporter())
        assert measured.done_before + sum(backend.made.values()) == TRIALS
        resumed = read_all(out)
        for name in PULL_TABLES:
            kept = [row for row in resumed[name] if row.get("reason") != "interrupted"]
            assert kept == whole[name]


def test_a_complete_study_asks_nobody(study: Path, tmp_path: Path) -> None:
    measure(study, Fake(), tmp_path / "out", Reporter())
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    backend = Fake(0)
    assert measure(study, backend, tmp_path / "out", Reporter()).done_before == TRIALS
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_more_repetitions_join_what_is_there(study: Path, tmp_path: Path) -> None:
    measure(study, Fake(), tmp_path / "out", Reporter())
    study.write_text(study.read_text().replace("repetitions: 2", "repetitions: 3"))
    backend = Fake()
    assert measure(study, backend, tmp_path / "out", Reporter()).pulls == PULLS * 3 // 2
    assert sum(backend.made.values()) == TRIALS // 2


def test_other_settings_are_not_mixed_in(study: Path, tmp_path: Path) -> None:
    measure(study, Fake(), tmp_path / "out", Reporter())
    study.write_text(study.read_text().replace("layers_at_once: 1", "layers_at_once: 2"))
    with pytest.raises(PullError, match="run 'two' was begun with other settings"):
        measure(study, Fake(), tmp_path / "out", Reporter())


def test_one_run_at_a_time_has_the_folder(study: Path, tmp_path: Path) -> None:
    class Inner(Fake):
        def pull(self, trial: Trial) -> TrialResult:
            measure(study, Fake(), tmp_path / "out", Reporter())
            raise AssertionError

    with pytest.raises(PullError, match="another run writes to it"):
        measure(study, Inner(), tmp_path / "out", Reporter())


def test_a_damaged_journal_is_named(study: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / JOURNAL).write_bytes(b"{}\n")
    with pytest.raises(PullError, match="line 1 is damaged; delete the file"):
        measure(study, Fake(), tmp_path / "out", Reporter())


def test_a_strategy_that_no_backend_knows(study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text() + "strategies: [teleport]\n")
    with pytest.raises(PullStudyError, match="backend fake has no 'teleport'; choose of plain"):
        measure(study, Fake(), tmp_path / "out", Reporter())


def test_an_unreachable_registry_costs_the_sizes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pulls.yaml"
    path.write_text("study: s\nimages: ['127.0.0.1:9/a/b:c']\nlimits: {attempts: 1}\n")
    warnings: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "warn", warnings.append)
    assert measure(path, Fake(), tmp_path / "out", reporter).pulls == 1
    assert "its sizes stay unknown" in warnings[0]
    assert read(tmp_path / "out", "pulls")[0]["compressed_bytes"] is None


def start(study: Path, out: Path, store: Path) -> subprocess.Popen[bytes]:
    code = "from pullstudy.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "pull", study, "--backend", "embedded", "--out", out],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(store)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def count_finished(out: Path) -> int:
    """Trials in the journal; -1 while there is none."""
    journal = out / JOURNAL
    return journal.read_bytes().count(b'"finished"') if journal.exists() else -1


def test_kill_9_at_any_time_changes_no_row(study: Path, tmp_path: Path) -> None:
    """Three runners are killed, at the latest after some trials; the fourth ends."""
    store, out = tmp_path / "store", tmp_path / "out"
    store.mkdir()
    for trials in (0, 2, 5):
        runner = start(study, out, store)
        end = time.monotonic() + 60
        while count_finished(out) < trials:
            assert time.monotonic() < end and runner.poll() is None
            time.sleep(0.02)
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        assert not (out / "pulls.parquet").exists()
    runner = start(study, out, store)
    said, told = runner.communicate(timeout=120)
    assert runner.returncode == 0, told
    assert f"{PULLS} pulls in" in said.decode() and "were done before" in said.decode()
    pulls = read(out, "pulls")
    keys = Counter(
        (p["run"], p["cluster_size"], p["node"], p["image"], p["attempt"]) for p in pulls
    )
    assert len(keys) == PULLS and set(keys.values()) == {1}
    assert {p["outcome"] for p in pulls} == {"pulled"}
    assert len(read(out, "pull_layers")) == 2 * PULLS
    end = time.monotonic() + 20
    while list(store.iterdir()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not list(store.iterdir()), "no node outlives its runner, and none leaves its store"
