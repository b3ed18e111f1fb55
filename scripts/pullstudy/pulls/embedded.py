"""Backend `embedded`: nodes are processes of ours that pull over HTTP; no root, no engine.

Each node has a store of its own, and the limits of its run. Strategy `plain`: from the registry to
the node's disk. Key `options.store`: folder on the disk that is to hold the stores.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

import pullstudy
from pullstudy.errors import PullError
from pullstudy.pulls.backend import (
    FAILED,
    PULLED,
    ClusterPlan,
    Trial,
    TrialResult,
    job_of,
    now_us,
)
from pullstudy.pulls.embedded_node import READY, NodePull, NodeSettings
from pullstudy.pulls.machine import describe_node
from pullstudy.pulls.record import Node, Pull, PullLayer
from pullstudy.pulls.study import PLAIN, PullStudy, PullStudyError, Run

_RUNTIME = "pullstudy embedded"
_OPTIONS = ("store",)
_START_SECONDS = 60.0
_END_SECONDS = 10.0


class Embedded:
    """The backend."""

    name = "embedded"
    strategies = (PLAIN,)

    def check(self, study: PullStudy) -> None:
        """Raise PullStudyError for keys that only engines understand."""
        for run in study.runs:
            for key in run.options:
                if key not in _OPTIONS:
                    raise PullStudyError(f"key 'options.{key}': backend embedded has none")
            if run.endpoints or run.start:
                key = "endpoints" if run.endpoints else "start"
                raise PullStudyError(f"key {key!r}: nodes of backend embedded run no containers")
            if run.limits.disk_mb_per_second or run.limits.disk_operations_per_second:
                raise PullStudyError("key 'limits': backend embedded cannot limit the disk")

    @contextlib.contextmanager
    def open(self, plan: ClusterPlan) -> Iterator[_Cluster]:
        """Start the node processes of a cluster."""
        settings = _make_settings(plan)
        nodes = [_NodeProcess(f"node-{n}", settings) for n in range(1, plan.size + 1)]
        try:
            _start_all(nodes)
            yield _Cluster(plan, nodes)
        finally:
            for node in nodes:
                node.end()


class _Cluster:
    """Node processes that pull together."""

    def __init__(self, plan: ClusterPlan, nodes: list[_NodeProcess]) -> None:
        self._plan = plan
        self._nodes = nodes

    def describe(self) -> list[Node]:
        """Return a row for each node."""
        store = Path(self._plan.settings.options.get("store", tempfile.gettempdir()))
        return [describe_node(self._plan, node.name, _RUNTIME, store) for node in self._nodes]

    def pull(self, trial: Trial) -> TrialResult:
        """Let all nodes pull the image, and wait for the last."""
        _start_all(self._nodes)
        seconds = trial.cluster.settings.limits.timeout_seconds
        begun_us = now_us()
        with ThreadPoolExecutor(len(self._nodes)) as threads:
            found = list(threads.map(lambda n: n.pull(trial.image.reference, seconds), self._nodes))
        ended_us = now_us()
        pulls = [
            _pull_row(trial, node.name, measured, begun_us)
            for node, measured in zip(self._nodes, found, strict=True)
        ]
        layers = [
            row
            for node, measured in zip(self._nodes, found, strict=True)
            for row in _layer_rows(trial, node.name, measured)
        ]
        return TrialResult(pulls, job_of(trial, pulls, begun_us, ended_us), layers)


class _NodeProcess:
    """A process that runs `pulls/embedded_node.py`."""

    def __init__(self, name: str, settings: NodeSettings) -> None:
        self.name = name
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    @property
    def pid(self) -> int:
        """Identifier of the process that is running."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process, unless it is running. Raises PullError."""
        if self._process is not None and self._process.poll() is None:
            return
        package = str(Path(pullstudy.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pullstudy.pulls.embedded_node"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path},
                # Ctrl-C is for the runner, which tells its nodes.
                start_new_session=True,
            )
        except OSError as exc:
            raise PullError(f"{self.name}: cannot be started: {exc.strerror}") from exc
        self._send(self._settings)
        self._is_ready = False

    def wait(self) -> None:
        """Wait until the process can pull. Raises PullError."""
        if not self._is_ready:
            if self._receive(_START_SECONDS) != READY:
                raise PullError(f"{self.name}: does not start; what it says stands above")
            self._is_ready = True

    def pull(self, reference: str, seconds: float) -> NodePull:
        """Let the node pull, for so many seconds at most."""
        requested_us = now_us()
        self._send(reference)
        line = self._receive(seconds)
        if line is None:
            self.kill()
            return _failure(requested_us, f"no end within {seconds:g} s")
        if not line.endswith(b"\n"):
            return _failure(requested_us, f"the node {self._say_end()}")
        return msgspec.json.decode(line, type=NodePull)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        """Let the process delete its store and end."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _send(self, document: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        # A process that has ended is noticed when its answer is read.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(document) + b"\n")
            self._process.stdin.flush()

    def _receive(self, seconds: float) -> bytes | None:
        """Return a line, or what came of it before the process ended; None: too late."""
        assert self._process is not None and self._process.stdout is not None
        end, line = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(end - time.monotonic()):
                    return None
                piece = os.read(self._process.stdout.fileno(), 1 << 16)
                if not piece:
                    break
                line += piece
        return line

    def _say_end(self) -> str:
        assert self._process is not None
        status = self._process.wait()
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"


def _start_all(nodes: Sequence[_NodeProcess]) -> None:
    """Start the processes that are not running, side by side."""
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait()


def _make_settings(plan: ClusterPlan) -> NodeSettings:
    run: Run = plan.settings
    return NodeSettings(
        store=run.options.get("store"),
        mirror=plan.mirror,
        plain_http=run.registry.plain_http,
        platform=run.platform,
        latency_seconds=run.registry.latency_seconds,
        bandwidth_mbit_per_second=run.limits.bandwidth_mbit_per_second,
        layers_at_once=run.limits.layers_at_once,
        attempts=run.limits.attempts,
        stall_seconds=run.limits.stall_seconds,
    )


def _failure(requested_us: int, error: str) -> NodePull:
    return NodePull(
        requested_at_utc=requested_us,
        started_at_utc=requested_us,
        pulled_at_utc=now_us(),
        error=error,
    )


def _pull_row(trial: Trial, node: str, measured: NodePull, begun_us: int) -> Pull:
    seconds = (measured.pulled_at_utc - measured.started_at_utc) / 1e6
    waited = (measured.pulled_at_utc - measured.requested_at_utc) / 1e6
    columns: dict[str, Any] = {
        "scheduled_at_utc": begun_us,
        "requested_at_utc": measured.requested_at_utc,
        "started_at_utc": measured.started_at_utc,
        "pulled_at_utc": measured.pulled_at_utc,
    }
    if measured.error is not None:
        return trial.pull_row(node, FAILED, error=measured.error, **columns)
    layers = measured.layers
    return trial.pull_row(
        node,
        PULLED,
        **columns,
        compressed_bytes=sum(y.compressed_bytes for y in layers) + measured.document_bytes,
        uncompressed_bytes=sum(y.uncompressed_bytes for y in layers),
        seconds=seconds,
        seconds_including_waiting=waited,
        download_seconds=measured.download_seconds,
        decompress_seconds=sum(y.decompress_seconds for y in layers),
        unpack_seconds=sum(y.unpack_seconds for y in layers),
        reported_seconds=(seconds,),
        reported_seconds_including_waiting=(waited,),
    )


def _layer_rows(trial: Trial, node: str, measured: NodePull) -> list[PullLayer]:
    return [
        trial.layer_row(node, layer=number, **msgspec.structs.asdict(layer))
        for number, layer in enumerate(measured.layers, 1)
    ]
