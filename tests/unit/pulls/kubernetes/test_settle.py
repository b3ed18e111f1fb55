"""When a node is done, and why nothing came of it: what a small cluster cannot be made to do."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from pullstudy.pulls.kubernetes import settle
from pullstudy.pulls.kubernetes.book import Book
from pullstudy.pulls.kubernetes.connect import ClusterError
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.settle import Judge

NODE, POD = "node1", "pull-a-0-xyz"
IMAGE = "a.b/c:d"
RUNNING = {"containerStatuses": [{"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}


def raw(item: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(item).encode())


def make_book(*messages: tuple[str, str], **status: Any) -> Book:
    """Tell a book of one pod on one node, and of what the kubelet said of it."""
    book = Book()
    book.begin("pull-a")
    node_name = status.pop("node_name", NODE)
    pod = {"metadata": {"name": POD}, "spec": {"nodeName": node_name}, "status": status}
    book.add_pod("ADDED", raw(pod))
    for number, (reason, message) in enumerate(messages):
        event = {
            "metadata": {"name": f"e{number}", "uid": f"u{number}", "resourceVersion": "1"},
            "involvedObject": {"kind": "Pod", "name": POD},
            "reason": reason,
            "message": message,
        }
        book.add_event("ADDED", raw(event))
    return book


def judge(book: Book, timeout: float = 60, **options: Any) -> tuple[bool, dict[str, str]]:
    each = Judge(book, [NODE], Options(**options), timeout)
    settlement = each.judge()
    return each.is_over, settlement.lost


PULLED = ("Pulled", f'Successfully pulled image "{IMAGE}" in 1s')
FAILED = ("Failed", f'Failed to pull image "{IMAGE}": no such host')
STARTED = ("Started", "Started container pulled")


@pytest.mark.parametrize(
    ("book", "options", "is_over"),
    [
        (make_book(), {}, False),
        (make_book(PULLED), {}, False),
        (make_book(PULLED), {"wait": "pulled"}, True),
        (make_book(PULLED, STARTED, **RUNNING), {}, True),
        (make_book(PULLED, STARTED, **RUNNING), {"wait": "completed"}, False),
        (make_book(PULLED, STARTED, phase="Succeeded", **RUNNING), {"wait": "completed"}, True),
        (make_book(PULLED, STARTED, **RUNNING), {"probe": ("true",)}, False),
        (make_book(PULLED, **RUNNING), {}, False),  # its start is told in a moment
        (make_book(FAILED), {}, True),
        (make_book(FAILED), {"pull_attempts": 2}, False),
        (make_book(FAILED, FAILED), {"pull_attempts": 2}, True),
    ],
)
def test_a_node_is_done(book: Book, options: dict[str, Any], is_over: bool) -> None:
    assert judge(book, **options) == (is_over, {})


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on ephemeral-storage"},
            "Evicted: low on ephemeral-storage",
        ),
        (
            {
                "phase": "Failed",
                "reason": "Terminated",
                "conditions": [
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "PreemptionByScheduler",
                        "message": "for a more important pod",
                    }
                ],
            },
            "PreemptionByScheduler: for a more important pod",
        ),
    ],
)
def test_an_evicted_pod_says_why(status: dict[str, Any], why: str) -> None:
    assert judge(make_book(**status)) == (True, {NODE: why})


def test_an_image_without_a_program_was_pulled_all_the_same() -> None:
    waiting = {"reason": "CreateContainerError", "message": "no command specified"}
    book = make_book(PULLED, containerStatuses=[{"state": {"waiting": waiting}}])
    assert judge(book) == (True, {NODE: "CreateContainerError: no command specified"})


def test_a_lost_node_is_not_waited_for() -> None:
    book = make_book()
    book.add_node("DELETED", raw({"metadata": {"name": NODE}}))
    assert judge(book) == (True, {NODE: "the node was deleted"})


def tell_node(book: Book, status: str) -> None:
    condition = {"type": "Ready", "status": status, "reason": "NodeStatusUnknown"}
    node = {"metadata": {"name": NODE}, "status": {"conditions": [condition]}}
    book.add_node("MODIFIED", raw(node))


def test_a_node_may_be_away_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_NODE_SECONDS", 0.2)
    book = make_book(PULLED, STARTED)
    each = Judge(book, [NODE], Options(), 60)
    tell_node(book, "Unknown")
    assert not each.judge().done
    tell_node(book, "True")
    time.sleep(0.3)
    assert not each.judge().done
    tell_node(book, "Unknown")
    assert not each.judge().done, "it is away anew, not since the first time"
    time.sleep(0.3)
    assert each.judge().lost == {NODE: "the node is not ready: NodeStatusUnknown"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"phase": "Pending"}, "its pod is Pending on it"),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]},
            "its container waits: ContainerCreating",
        ),
        ({"node_name": ""}, "a pod has no node"),
        (
            {
                "node_name": "",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "SchedulerError",
                        "message": "binding rejected",
                    }
                ],
            },
            "a pod has no node: binding rejected",
        ),
    ],
)
def test_time_runs_out(status: dict[str, Any], why: str) -> None:
    over, lost = judge(make_book(**status), timeout=0)
    assert (over, lost) == (True, {NODE: f"no result within 0 s: {why}"})


def test_time_runs_out_without_a_pod() -> None:
    over, lost = judge(Book(), timeout=0)
    assert (over, lost) == (True, {NODE: "no result within 0 s: there is no pod"})


def test_an_event_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_EVENT_SECONDS", 0.2)
    each = Judge(make_book(**RUNNING), [NODE], Options(), 60)
    assert each.judge().owes_event == {NODE}
    time.sleep(0.3)
    assert each.judge().lost == {NODE: "the kubelet sent no event of the pull"}


def test_pods_without_a_place_stop_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_UNSCHEDULED_SECONDS", -1.0)
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: insufficient memory",
    }
    with pytest.raises(ClusterError, match=r"no node for it: 0/1 nodes"):
        judge(make_book(node_name="", conditions=[condition]))


def test_a_list_brings_nothing_twice() -> None:
    book = make_book(PULLED, STARTED)
    for _ in range(2):
        for number in range(2):
            again = {
                "metadata": {"name": f"e{number}", "uid": f"u{number}", "resourceVersion": "1"},
                "involvedObject": {"kind": "Pod", "name": POD},
                "reason": "Pulled",
                "message": PULLED[1],
            }
            book.add_event("LISTED", raw(again))
    assert book.event_count == 2
    assert book.told[POD] == {"pulled": 1, "started": 1}
    assert book.begin("pull-b") == {
        ("event", "other_event", "Pulled"): 1,
        ("event", "other_event", "Started"): 1,
    }
