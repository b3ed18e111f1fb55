"""The sample study on a real Slurm: heavy rules are its jobs, and who is killed comes again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Snakemake
from tests.integration.slurm import Job, Slurm, run_slurm

pytestmark = pytest.mark.integration

# What the laboratory has not, or has quicker than a cluster: accounts, an accounting database, a
# network file system.
LAB = [
    "--default-resources=slurm_partition=main",
    "--slurm-no-account",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--latency-wait=5",
]
PROFILE = ["--workflow-profile", "workflow/profiles/slurm"]
SIMILARITY = "results/sample/tables/similarity"
# One job or more of each heavy rule, and light ones after them.
TARGETS = [
    f"{SIMILARITY}/cosine_histogram/images.parquet",
    f"{SIMILARITY}/document_map.parquet",
    f"{SIMILARITY}/image_neighbours.parquet",
    "results/sample/tables/tab_jaccard.csv",
]
HEAVY = {
    "write_documents",
    "fit_embedding",
    "embed_documents",
    "count_cosine_shard",
    "compare_digests",
    "find_neighbours",
    "map_documents",
}
KILLED = "rule_compare_digests_wildcards_repositories"
# Python alone takes more than this at the first attempt; Slurm ends what takes more than it asked.
HUNGRY, SCARCE = "rule_find_neighbours", "find_neighbours:mem_mb=100*attempt**4"


@dataclass
class Run:
    """What a run left: the jobs that Slurm had, and what Snakemake said."""

    jobs: list[Job]
    said: str

    def of(self, rule: str) -> list[Job]:
        return [job for job in self.jobs if job.rule == rule]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with run_slurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def finished(slurm: Slurm, tree: Path) -> Run:
    """Run the stages with the profile, and kill a job on the way."""
    command = [sys.executable, "-m", "snakemake", *PROFILE, *LAB]
    killer = threading.Thread(target=kill_first, args=(slurm, KILLED), daemon=True)
    killer.start()
    done = subprocess.run(
        slurm.inside(*command, "--set-resources", SCARCE, "--", *TARGETS),
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree / "scripts")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    return Run(slurm.jobs(), said)


def kill_first(slurm: Slurm, rule: str) -> None:
    """Kill the first job of a rule as soon as it runs."""
    while True:
        for job in slurm.jobs():
            if job.rule == rule and job.state == "RUNNING":
                slurm.run("scancel", "--full", "--signal=KILL", job.number)
                return
        time.sleep(0.1)


def test_heavy_rules_are_jobs_and_light_ones_stay(finished: Run, tree: Path) -> None:
    rules = {job.rule.removeprefix("rule_").partition("_wildcards_")[0] for job in finished.jobs}
    assert rules == HEAVY
    begun = set(re.findall(r"^(?:local)?rule (\w+):$", finished.said, re.MULTILINE))
    stayed = set(re.findall(r"^localrule (\w+):$", finished.said, re.MULTILINE))
    assert begun - stayed == HEAVY
    assert {"registry_from_sample", "gather_cosine_histogram", "run_table"} <= stayed
    for target in TARGETS:
        assert (tree / target).stat().st_size > 0


def test_both_nodes_worked(finished: Run) -> None:
    assert {job.node for job in finished.jobs} == {"n1", "n2"}


def test_jobs_ask_for_memory_and_time_by_their_input(finished: Run) -> None:
    asked = {job.rule: job for job in reversed(finished.jobs)}
    layers = asked["rule_compare_digests_wildcards_images"]
    subset = asked[KILLED]
    assert layers.memory_mb > subset.memory_mb >= 1200, "all layers are more than those of a subset"
    assert all(job.cpus >= 1 and job.minutes not in ("1:00:00", "") for job in finished.jobs)


def test_a_killed_job_comes_again_and_asks_for_twice_as_much(finished: Run) -> None:
    first, second = finished.of(KILLED)
    assert first.state != "COMPLETED"
    assert second.state == "COMPLETED"
    assert second.memory_mb == pytest.approx(2 * first.memory_mb, abs=2)
    assert second.minutes == "20:00", "after 10"
    assert "Trying to restart job" in finished.said


def test_a_job_without_memory_comes_again_with_more(finished: Run, tree: Path) -> None:
    first, second = finished.of(HUNGRY)
    assert (first.memory_mb, second.memory_mb) == (100, 1600)
    assert (first.state, second.state) == ("FAILED", "COMPLETED")
    (log,) = tree.glob(f".snakemake/slurm_logs/**/{first.number}.log")
    assert "exceeded memory limit" in log.read_text()


def test_nothing_is_left_to_do_without_slurm(finished: Run, snakemake: Snakemake) -> None:
    result = snakemake("-n", "--set-resources", SCARCE, "--", *TARGETS)
    assert "Nothing to be done" in result.stdout + result.stderr
