"""What breaks while a study runs is a row with its reason, and the study ends."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.lab import Lab
from tests.integration.kubernetes.test_pull_study import (
    assert_clean,
    command,
    count_pulls,
    read,
    wait_for_trials,
)

if TYPE_CHECKING:
    from tests.integration.kubernetes.conftest import WriteStudy

pytestmark = pytest.mark.integration


# A server that has just started forbids the kubelet to write events, which drops them then, and a
# scheduler takes its time to bind again: such a pull has a row that says so.
_LOST = ("the kubelet sent no event of the pull", "no result within", "the node is not ready")


def test_api_server_restarts_stop_no_study(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    study = write_study("restarts", repetitions=3, limits={"timeout_seconds": 60})
    out = tmp_path / "out"
    runner = subprocess.Popen(command(study, "--out", str(out)), stderr=subprocess.PIPE, text=True)
    for trials in (1, 3):
        wait_for_trials(runner, out / "journal.jsonl", trials)
        lab.plane.apiserver.kill()
        lab.plane.compact()
        time.sleep(0.5)
        lab.plane.apiserver.start()
        lab.plane.apiserver.wait()
    _, said = runner.communicate(timeout=240)
    assert runner.returncode == 0, said
    nodes = {node.name for node in lab.nodes}
    attempts = range(1, 4)
    assert count_pulls(out) == {(n, i, a): 1 for n in nodes for i in images for a in attempts}
    untimed = [row for row in read(out, "pulls") if row["seconds"] is None]
    # Each restart can touch the pulls of the trial that was under way.
    assert len(untimed) <= 2 * len(nodes), untimed
    for row in untimed:
        assert row["outcome"] == "present" or row["error"].startswith(_LOST), row
    assert_clean(lab, images)


def test_a_node_that_is_lost_is_told_and_the_run_goes_on_later(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    study, out = write_study("lost", repetitions=3), tmp_path / "out"
    runner = subprocess.Popen(command(study, "--out", str(out)), stderr=subprocess.PIPE, text=True)
    wait_for_trials(runner, out / "journal.jsonl", 1)
    lost = lab.nodes[1]
    lost.kubelet.kill()
    try:
        end = time.monotonic() + 60
        while lost.name in lab.ready_nodes() and time.monotonic() < end:
            time.sleep(0.5)
        assert lost.name not in lab.ready_nodes()
    finally:
        lost.kubelet.start()
        lost.kubelet.wait()
    _, said = runner.communicate(timeout=240)
    assert runner.returncode == 0, said
    lab.wait_ready()
    assert set(count_pulls(out).values()) == {1}
    assert len(count_pulls(out)) == len(lab.nodes) * len(images) * 3
    for row in read(out, "pulls"):
        if row["outcome"] == "unfinished":
            assert row["node"] == lost.name
            assert "the node is not ready" in row["error"]
    assert_clean(lab, images)
