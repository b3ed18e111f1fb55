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
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.backend import (
    FAILED,
    NOT_STARTED,
    PULLED,
    ClusterPlan,
    Trial,
    TrialResult,
    job_of,
    now_us,
)
from pullstudy.pulls.endpoints import check_endpoints, name_for_engine
from pullstudy.pulls.lab import COLD, LAB_OPTIONS, WARM, LabNode, open_lab
from pullstudy.pulls.lab_claim import clear_dead_labs
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
            if run.options.get("cache", COLD) not in (COLD, WARM):
                raise PullStudyError(f"key 'options.cache': {COLD} or {WARM}")
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
                LabNode(f"containerd-{n}", socket, f"pullstudy-{os.getpid()}-{n}")
                for n, socket in enumerate(plan.settings.endpoints[: plan.size], 1)
            ]
            cluster = _Cluster(plan, nodes)
            cluster.clear()
            yield cluster
            return
        with open_lab(plan, with_snapshotter=is_streaming) as lab:
            plan = msgspec.structs.replace(plan, mirror=lab.registry)
            yield _Cluster(plan, lab.nodes, lab.empty_cache)

    def clean(self, _: PullStudy) -> Iterator[str]:
        """Take away what killed runs left on this machine, those of other studies too."""
        yield from clear_dead_labs()


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

    def __init__(
        self,
        plan: ClusterPlan,
        nodes: Sequence[LabNode],
        empty_cache: Callable[[], None] | None = None,
    ) -> None:
        self._plan = plan
        self._clients = [_Client(node, plan) for node in nodes]
        self._empty_cache = empty_cache
        self._cached: set[str] = set()

    def describe(self) -> list[Node]:
        """Return a row for each node."""
        return [client.describe() for client in self._clients]

    def clear(self) -> None:
        """Remove what a killed run has left. Raises PullError for an image that others have."""
        wanted = {name_for_engine(Trial(self._plan, i, 1)) for i in self._plan.settings.images}
        for client in self._clients:
            for image in self._plan.left:
                client.remove(image)
            client.refuse_others(wanted)

    def pull(self, trial: Trial) -> TrialResult:
        """Let all nodes pull the image, and wait for the last."""
        trial = msgspec.structs.replace(trial, cluster=self._plan)
        image = name_for_engine(trial)
        for client in self._clients:
            client.remove(image)
        self._prepare_cache(image)
        begun_us = now_us()
        with ThreadPoolExecutor(len(self._clients)) as threads:
            pulls = list(threads.map(lambda c: c.pull(trial, image, begun_us), self._clients))
        ended_us = now_us()
        for client in self._clients:
            client.remove(image)
        return TrialResult(pulls, job_of(trial, pulls, begun_us, ended_us))

    def _prepare_cache(self, image: str) -> None:
        """Let the cache before the registry, if there is one, have the image or nothing."""
        if self._empty_cache and self._plan.settings.options["cache"] == COLD:
            self._empty_cache()
        elif self._empty_cache and image not in self._cached:
            self._clients[0].fetch(image)
            self._cached.add(image)


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

    def refuse_others(self, images: Set[str]) -> None:
        """Raise PullError for an image of another namespace: all of them share their content."""
        for namespace in self._run("namespaces", "list", "--quiet").split():
            if namespace == _NAMESPACE:
                continue
            listed = self._run("images", "list", "--quiet", namespace=namespace).split()
            for image in sorted(images & set(listed)):
                raise PullError(
                    f"{self._node.socket}: {image} is there already in namespace {namespace}, so "
                    "that nothing would be pulled; remove it yourself or name another containerd "
                    "in 'endpoints', and run again"
                )

    def fetch(self, image: str) -> None:
        """Read all of an image, and keep nothing of it."""
        self._run("content", "fetch", "--plain-http", image)
        self._run("images", "remove", "--sync", image)

    def pull(self, trial: Trial, image: str, begun_us: int) -> Pull:
        """Pull an image and, if the run wants it, let its container read its share."""
        self._has_pulled = True
        requested_us = now_us()
        run = trial.cluster.settings
        deadline = time.monotonic() + run.limits.timeout_seconds
        said = self._watch(self._pull_command(run, image), deadline)
        pulled_us = now_us()
        times: dict[str, Any] = {
            "scheduled_at_utc": begun_us,
            "requested_at_utc": requested_us,
            "started_at_utc": requested_us,
            "pulled_at_utc": pulled_us,
        }
        if said.status != 0:
            return trial.pull_row(self._node.name, FAILED, error=_complaint(said, run), **times)
        outcome = PULLED
        if run.start:
            started = self._watch(self._start_command(image), deadline)
            if started.status == 0:
                times["ready_at_utc"] = now_us()
            else:
                outcome, times["error"] = NOT_STARTED, _complaint(started, run)
        phases: dict[str, float | None] = {}
        if said.unpacking_us is not None and not self._is_streaming:
            phases["download_seconds"] = (said.unpacking_us - requested_us) / 1e6
            phases["unpack_seconds"] = (pulled_us - said.unpacking_us) / 1e6
        seconds = (pulled_us - requested_us) / 1e6
        return trial.pull_row(
            self._node.name,
            outcome,
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
        name = f"{self._node.containers}-{self._started}"
        chosen = ["--snapshotter", "stargz"] if self._is_streaming else []
        return [*self._begin("ctr"), "run", "--rm", *chosen, image, name]

    def _begin(self, program: str, namespace: str = _NAMESPACE) -> list[str]:
        # It is the client that downloads: it has to be where its node is.
        return [*self._node.inside, program, "--address", self._node.socket, "-n", namespace]

    def _run(self, *arguments: str, namespace: str = _NAMESPACE) -> str:
        """Run a client that is over at once; what it complains of is the caller's to notice."""
        try:
            done = subprocess.run(
                [*self._begin("ctr", namespace), *arguments],
                capture_output=True,
                text=True,
                check=False,
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


def _complaint(said: _Said, run: Run) -> str:
    late = f"no end within {run.limits.timeout_seconds:g} s"
    return said.text if said.status is not None else late
