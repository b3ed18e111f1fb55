"""What measuring on Kubernetes costs: the watch in a storm of events, and the runner beside pulls.

Needs root and what the test cluster needs. Prints
- for each storm (events of so many nodes, posted to the real API server) the share of one core
  that the watching process took, its memory, and how many events it missed;
- for trials on two real nodes the time from one job to the next, less the slowest pull between.

Usage: PYTHONPATH=. python benchmarks/pull_kubernetes.py [--nodes 1000] [--storms 3] [--trials 10]
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.craft.study import Surroundings
from pullstudy.pulls.kubernetes.book import Book
from pullstudy.pulls.kubernetes.connect import connect
from pullstudy.pulls.kubernetes.watch import Watcher
from tests.cluster.events import REASONS, Poster
from tests.cluster.lab import Lab, run_lab

_NAMESPACE = "flood"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--storms", type=int, default=3)
    parser.add_argument("--trials", type=int, default=10)
    arguments = parser.parse_args()
    with run_lab(nodes=2) as lab:
        measure_storms(lab, arguments.nodes, arguments.storms)
        measure_trials(lab, arguments.trials)


def measure_storms(lab: Lab, nodes: int, storms: int) -> None:
    """Post events from here, watch them in a process of its own."""
    config = str(lab.plane.kubeconfig())
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    connect(config).create(body)
    here, there = multiprocessing.get_context("spawn").Pipe()
    watching = multiprocessing.get_context("spawn").Process(
        target=watch, args=(config, nodes * len(REASONS), storms, there)
    )
    watching.start()
    for number in range(storms):
        assert here.recv() == "ready"
        begun = time.monotonic()
        Poster(config, _NAMESPACE, f"storm{number}").post(range(nodes))
        posted = time.monotonic() - begun
        seen, cpu, memory = here.recv()
        events = nodes * len(REASONS)
        print(
            f"storm {number + 1}: {events} events in {posted:.1f} s, {events - seen} missed, "
            f"{cpu / posted:.2f} of a core, {memory / 1024:.0f} MiB"
        )
    watching.join()


def watch(config: str, wanted: int, storms: int, there: Connection) -> None:
    """Count the events of each storm."""
    api, book = connect(config), Book()
    with Watcher(api, api.core.list_namespaced_event, (_NAMESPACE,), book.add_event):
        for number in range(storms):
            book.begin(f"storm{number}")
            book.event_count = 0
            begun = time.process_time()
            there.send("ready")
            end = time.monotonic() + 600
            while book.event_count < wanted and time.monotonic() < end:
                book.wait(0.5)
            cpu = time.process_time() - begun
            seen = len(book.take_events())
            there.send((seen, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def measure_trials(lab: Lab, trials: int) -> None:
    """Pull one image again and again on all nodes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        craft = folder / "craft.yaml"
        craft.write_text("sizes: [{total: 3000001}]\nlayers: [{exact: 3}]\n")
        settings = CraftSettings(
            "push",
            around=Surroundings(f"{lab.registry}/bench"),
            plain_http=True,
            journal=folder / "pushed",
        )
        (image,) = craft_study(craft, settings)
        study = {
            "study": "bench",
            "nodes": len(lab.nodes),
            "repetitions": trials,
            "images": [f"{lab.registry}/bench:{image.planned.cell.tag}"],
            "endpoints": [str(lab.plane.kubeconfig())],
            "registry": {"plain_http": True},
            "options": {"cleaner_image": lab.busybox},
        }
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        program = Path(sys.executable).with_name("pullstudy")
        subprocess.run(
            [program, "pull", folder / "study.yaml", "--backend", "kubernetes", "--out", folder],
            check=True,
        )
        report_trials(folder)


def report_trials(folder: Path) -> None:
    slowest: dict[str, float] = {}
    for row in pq.read_table(folder / "pulls.parquet").to_pylist():
        slowest[row["job"]] = max(slowest.get(row["job"], 0.0), row["seconds"])
    jobs = pq.read_table(folder / "jobs.parquet").to_pylist()
    jobs.sort(key=lambda job: job["created_at_utc"])
    beside = [
        (after["created_at_utc"] - job["created_at_utc"]).total_seconds() - slowest[job["job"]]
        for job, after in itertools.pairwise(jobs)
    ]
    print(
        f"runner beside the pull: median {statistics.median(beside):.2f} s, "
        f"largest {max(beside):.2f} s of {len(beside)} trials"
    )


if __name__ == "__main__":
    main()
