"""Decide, node by node, when a trial is over and what became of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from pullstudy.pulls.kubernetes.book import Book, Pod
from pullstudy.pulls.kubernetes.connect import ClusterError
from pullstudy.pulls.kubernetes.options import Options

# The kubelet sends events on their own way: they may come after the pod's state that they tell of.
# One that the API server did not take is sent again after 10 s.
_EVENT_SECONDS = 45.0
# A control plane that was away for a moment takes nodes for lost; they pull on, and come back.
_NODE_SECONDS = 40.0
_UNSCHEDULED_SECONDS = 120.0
# Containers that wait for one of these will not start by waiting.
_NO_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
        "InvalidImageName",
    }
)


class Settlement(msgspec.Struct):
    """What is known of the nodes of a trial; `lost` says why a node's row is not complete."""

    done: set[str]
    lost: dict[str, str]
    owes_event: set[str]


class Judge:
    """Judges the pods of one trial again and again, until each node is done."""

    def __init__(
        self, book: Book, nodes: Sequence[str], options: Options, timeout_seconds: float
    ) -> None:
        self._book = book
        self._nodes = frozenset(nodes)
        self._options = options
        self._begun = time.monotonic()
        self._timeout = timeout_seconds
        self._owing_since: dict[str, float] = {}
        self._unready_since: dict[str, float] = {}
        self._done: set[str] = set()
        self._lost: dict[str, str] = {}

    def judge(self) -> Settlement:
        """Return how things stand. Raises ClusterError when pods find no place."""
        owing: set[str] = set()
        pods = [pod for pod in self._book.pods_of_job() if pod.spec.node_name not in self._done]
        for pod in pods:
            node = pod.spec.node_name
            if not node:
                self._check_place(pod)
            elif node not in self._done:
                self._judge_pod(pod, node, owing)
        for node in self._nodes - self._done:
            self._judge_node(node)
        if time.monotonic() - self._begun > self._timeout:
            waiting = {pod.spec.node_name: _say_wait(pod) for pod in pods}
            for node in self._nodes - self._done:
                why = waiting.get(node) or waiting.get("") or "there is no pod"
                self._settle(node, f"no result within {self._timeout:g} s: {why}")
        return Settlement(set(self._done), dict(self._lost), owing)

    @property
    def is_over(self) -> bool:
        """Whether every node is done."""
        return self._nodes <= self._done

    def _judge_node(self, node: str) -> None:
        why = self._book.unready_nodes.get(node)
        if why is None:
            self._unready_since.pop(node, None)
            return
        since = self._unready_since.setdefault(node, time.monotonic())
        if node not in self._book.nodes or time.monotonic() - since > _NODE_SECONDS:
            self._settle(node, why)

    def _judge_pod(self, pod: Pod, node: str, owing: set[str]) -> None:
        told = self._book.told.get(pod.metadata.name) or Counter[str]()
        has_image = bool(told.get("pulled") or told.get("present"))
        why = _why_not(pod)
        if not has_image and told.get("failed", 0) >= self._options.pull_attempts:
            self._settle(node, None)
        elif self._is_reached(pod, has_image) or why:
            # Everything has happened; what is not told yet is on its way.
            expects_start = self._options.wait != "pulled" and pod.has_started
            if has_image and (told.get("started") or not expects_start):
                self._settle(node, why)
            elif pod.status.reason and not pod.has_started:
                self._settle(node, why)  # evicted before it began
            else:
                self._wait_for_event(node, why, owing)

    def _is_reached(self, pod: Pod, has_image: bool) -> bool:
        if pod.has_ended:
            return True
        if self._options.wait == "pulled":
            return has_image
        if self._options.wait == "ready":
            return pod.is_ready if self._options.probe else pod.has_started
        return False

    def _wait_for_event(self, node: str, why: str | None, owing: set[str]) -> None:
        since = self._owing_since.setdefault(node, time.monotonic())
        if time.monotonic() - since > _EVENT_SECONDS:
            self._settle(node, why or "the kubelet sent no event of the pull")
        else:
            owing.add(node)

    def _settle(self, node: str, why: str | None) -> None:
        self._done.add(node)
        if why is not None:
            self._lost[node] = why

    def _check_place(self, pod: Pod) -> None:
        placed = pod.condition("PodScheduled")
        if (
            placed is not None
            and placed.reason == "Unschedulable"
            and time.monotonic() - self._begun > _UNSCHEDULED_SECONDS
            and not self._book.unready_nodes.keys() & self._nodes
        ):
            raise ClusterError(f"pod {pod.metadata.name}: no node for it: {placed.message}")


def _say_wait(pod: Pod) -> str:
    """Say what a pod that is not done waits for."""
    placed = pod.condition("PodScheduled")
    waiting = pod.container.waiting
    if waiting is not None:
        return f"its container waits: {' '.join((waiting.reason, waiting.message)).strip()}"
    if pod.spec.node_name:
        return f"its pod is {pod.status.phase or 'new'} on it"
    why = f": {placed.message}" if placed is not None and placed.message else ""
    return f"a pod has no node{why}"


def _why_not(pod: Pod) -> str | None:
    """Say why a pod will not get ready, if it is known."""
    disruption = pod.condition("DisruptionTarget")
    if disruption is not None and disruption.status == "True":
        return f"{disruption.reason}: {disruption.message}"
    state = pod.container
    if state.waiting is not None and state.waiting.reason in _NO_START:
        return f"{state.waiting.reason}: {state.waiting.message}"
    if pod.status.reason:
        return f"{pod.status.reason}: {pod.status.message}"
    ended = state.terminated
    if ended is not None and ended.exit_code and ended.reason not in ("Error", "Completed"):
        return f"{ended.reason}: exit code {ended.exit_code}"
    return None
