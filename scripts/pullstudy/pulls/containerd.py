"""Backend `containerd`: real pulls by containerd, through its own client `ctr`.

The nodes are the sockets of `endpoints`; without them, root has nodes made for each cluster
(`pulls/lab.py`): namespaces of the network with a containerd each, held to the limits of the run.
Strategies: `plain`, and `streaming`, which mounts eStargz layers with the stargz snapshotter
(`ctr-remote`) and reads them when they are needed: such a pull is over long before its bytes are
there, so that only `start: true` (ready: its container has read its share of files and ended)
tells what it costs.

`ctr` downloads everything and then unpacks, and says when it begins to unpack.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.backend import FAILED, PULLED, ClusterPlan, Trial, TrialResult, job_of, now_us
from pullstudy.pulls.endpoints import check_endpoints, name_for_engine
from pullstudy.pulls.lab import LAB_OPTIONS, LabNode, open_lab
from pullstudy.pulls.machine import describe_node
from pullstudy.pulls.record import Node, Pull
from pullstudy.pulls.study import PLAIN, PullStudy, PullStudyError, Run

STREAMING = "streaming"
# A namespace of our own: what others run on a node is not touched.
_NAMESPACE = "pullstudy"
_UNPACKING = b"unpacking "
_NODES_MAX = 64


class Containerd:
    """The backend."""

    name = "containerd"
    strategies = (PLAIN, STREAMING)

    def check(self, study: PullStudy) -> None:
        """Raise PullStudyError for what cannot be done here."""
        for run in study.runs:
            check_endpoints(run, _NODES_MAX)
            for key in run.options:
                if key not in LAB_OPTIONS:
                    raise PullStudyError(f"key 'options.{key}': backend containerd has none")
            if run.endpoints:
                _check_running(run)
            elif os.geteuid() != 0:
                raise PullStudyError(
                    "key 'endpoints': give sockets of containerd, or run as root to have nodes made"
                )
            for program in ("ctr", *(("ctr-remote",) if STREAMING in run.strategies else ())):
                if shutil.which(program) is None:
                    raise PullError(f"{program} is not installed; install it and run again")

    @contextlib.contextmanager
    def open(self, plan: ClusterPlan) -> Iterator[_Cluster]:
        """Find or make the nodes of a cluster."""
        is_streaming = plan.strategy == STREAMING
        if plan.settings.endpoints:
            nodes = [
                LabNode(name=f"containerd-{n}", socket=socket)
                for n, socket in enumerate(plan.settings.endpoints[: plan.size], 1)
            ]
            yield _Cluster(plan, nodes)
            return
        with open_lab(plan, with_snapshotter=is_streaming) as (mirror, nodes):
            yield _Cluster(msgspec.structs.replace(plan, mirror=mirror), nodes)


def _check_running(run: Run) -> None:
    limits = run.limits
    limited = (
        limits.bandwidth_mbit_per_second,
        limits.disk_mb_per_second,
        limits.disk_operations_per_second,
        run.registry.latency_seconds,
    )
    if any(limited):
        raise PullStudyError("key 'limits': a containerd that is running cannot be limited")


class _Cluster:
    """Nodes that pull together."""

    def __init__(self, plan: ClusterPlan, nodes: Sequence[LabNode]) -> None:
        self._plan = plan
        self._clients = [_Client(node, plan) for node in nodes]

    def describe(self) -> list[Node]:
        """Return a row for each node."""
        return [client.describe() for client in self._clients]

    def pull(self, trial: Trial) -> TrialResult:
        """Let all nodes pull the image, and wait for the last."""
        trial = msgspec.structs.replace(trial, cluster=self._plan)
        image = name_for_engine(trial)
        for client in self._clients:
            client.remove(image)
        begun_us = now_us()
        with ThreadPoolExecutor(len(self._clients)) as threads:
            pulls = list(threads.map(lambda c: c.pull(trial, image, begun_us), self._clients))
        ended_us = now_us()
        for client in self._clients:
            client.remove(image)
        return TrialResult(pulls, job_of(trial, pulls, begun_us, ended_us))


class _Said(msgspec.Struct):
    """What a client said: status, when its line about unpacking came, its last lines."""

    status: int | None
    unpacking_us: int | None
    text: str


class _Client:
    """The client of one containerd."""

    def __init__(self, node: LabNode, plan: ClusterPlan) -> None:
        self._node = node
        self._plan = plan
        self._is_streaming = plan.strategy == STREAMING
        self._started = 0
        self._has_pulled = False
        self._version = self._read_version()

    def describe(self) -> Node:
        """Return a row of `nodes`."""
        node = describe_node(self._plan, self._node.name, self._version, self._node.store)
        return msgspec.structs.replace(
            node, has_streaming=self._is_streaming, boot_disk=self._node.disk
        )

    def remove(self, image: str) -> None:
        """Remove an image with its content, and wait until it is gone."""
        self._run("images", "remove", "--sync", image)
        if self._node.renew and self._has_pulled:
            self._node.renew()
        self._has_pulled = False

    def pull(self, trial: Trial, image: str, begun_us: int) -> Pull:
        """Pull an image and, if the run wants it, let its container read its share."""
        self._has_pulled = True
        requested_us = now_us()
        run = trial.cluster.settings
        deadline = time.monotonic() + run.limits.timeout_seconds
        said = self._watch(self._pull_command(run, image), deadline)
        pulled_us, ready_us = now_us(), None
        if said.status == 0 and run.start:
            started = self._watch(self._start_command(image), deadline)
            said = _Said(started.status, said.unpacking_us, started.text)
            ready_us = now_us() if said.status == 0 else None
        times: dict[str, Any] = {
            "scheduled_at_utc": begun_us,
            "requested_at_utc": requested_us,
            "started_at_utc": requested_us,
            "pulled_at_utc": pulled_us,
            "ready_at_utc": ready_us,
        }
        if said.status != 0:
            late = f"no end within {run.limits.timeout_seconds:g} s"
            error = said.text if said.status is not None else late
            return trial.pull_row(self._node.name, FAILED, error=error, **times)
        phases: dict[str, float | None] = {}
        if said.unpacking_us is not None and not self._is_streaming:
            phases["download_seconds"] = (said.unpacking_us - requested_us) / 1e6
            phases["unpack_seconds"] = (pulled_us - said.unpacking_us) / 1e6
        seconds = (pulled_us - requested_us) / 1e6
        return trial.pull_row(
            self._node.name,
            PULLED,
            **times,
            **phases,
            seconds=seconds,
            seconds_including_waiting=seconds,
            reported_seconds=(seconds,),
            reported_seconds_including_waiting=(seconds,),
        )

    def _pull_command(self, run: Run, image: str) -> list[str]:
        is_plain = run.registry.plain_http or self._plan.mirror is not None
        options = ["--plain-http"] if is_plain else []
        if self._is_streaming:
            return [*self._begin("ctr-remote"), "images", "rpull", *options, image]
        options += ["--platform", run.platform]
        options += ["--max-concurrent-downloads", str(run.limits.layers_at_once)]
        return [*self._begin("ctr"), "images", "pull", *options, image]

    def _start_command(self, image: str) -> list[str]:
        self._started += 1
        name = f"pullstudy-{os.getpid()}-{self._started}"
        chosen = ["--snapshotter", "stargz"] if self._is_streaming else []
        return [*self._begin("ctr"), "run", "--rm", *chosen, image, name]

    def _begin(self, program: str) -> list[str]:
        # It is the client that downloads: it has to be where its node is.
        return [*self._node.inside, program, "--address", self._node.socket, "-n", _NAMESPACE]

    def _run(self, *arguments: str) -> str:
        """Run a client that is over at once; what it complains of is the caller's to notice."""
        try:
            done = subprocess.run(
                [*self._begin("ctr"), *arguments], capture_output=True, text=True, check=False
            )
        except OSError as exc:
            raise PullError(f"ctr: cannot be run: {exc.strerror}; install containerd") from exc
        if "connection refused" in done.stderr or "connection error" in done.stderr:
            raise PullError(f"{self._node.socket}: containerd does not answer; run again")
        return done.stdout

    def _read_version(self) -> str:
        lines = [line.split() for line in self._run("version").partition("Server:")[2].splitlines()]
        versions = [line[1] for line in lines if line[:1] == ["Version:"]]
        if not versions:
            raise PullError(f"{self._node.socket}: containerd does not answer; start it")
        return f"containerd {versions[0]}"

    def _watch(self, command: list[str], deadline: float) -> _Said:
        """Run a client to its end, and note when it begins to unpack; too late: status None."""
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as client:
            timer = threading.Timer(deadline - time.monotonic(), client.kill)
            timer.start()
            assert client.stdout is not None
            unpacking_us, last = None, b""
            for line in client.stdout:
                if line.startswith(_UNPACKING) and unpacking_us is None:
                    unpacking_us = now_us()
                last = line.strip() or last
            status = client.wait()
            timer.cancel()
        is_late = time.monotonic() >= deadline
        text = last.decode(errors="replace").removeprefix("ctr: ").removeprefix("ctr-remote: ")
        return _Said(None if is_late else status, unpacking_us, text)
