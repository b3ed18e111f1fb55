"""Events of many nodes, as their kubelets would write them, posted to the real API server."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pullstudy.pulls.kubernetes.connect import connect

REASONS = ("Scheduled", "Pulling", "Pulled", "Created", "Started")
_AT_ONCE = 8


def name_event(job: str, node: int, reason: str) -> str:
    """Name an event: pod and reason."""
    return f"{job}-{node}-abcde.{reason.lower()}"


def make_event(namespace: str, job: str, node: int, reason: str) -> dict[str, Any]:
    """Return one event of the job's pod on a node."""
    pod = f"{job}-{node}-abcde"
    stamp = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name_event(job, node, reason), "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": pod, "namespace": namespace, "uid": pod},
        "reason": reason,
        "message": 'Successfully pulled image "a/b:c" in 1s' if reason == "Pulled" else reason,
        "source": {"component": "kubelet", "host": f"node{node}"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "type": "Normal",
    }


class Poster:
    """Posts events as fast as the API server takes them."""

    def __init__(self, kubeconfig: str, namespace: str, job: str) -> None:
        self._local = threading.local()
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._job = job

    def post(self, nodes: Iterable[int]) -> None:
        """Post all events of these nodes; all are there when this returns."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._post_one, [(node, reason) for node in nodes for reason in REASONS]))

    def _post_one(self, each: tuple[int, str]) -> None:
        if not hasattr(self._local, "api"):
            self._local.api = connect(self._kubeconfig)
        self._local.api.create(make_event(self._namespace, self._job, *each))
