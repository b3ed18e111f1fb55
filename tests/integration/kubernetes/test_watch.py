"""Watches on the real API server lose nothing: it is restarted, forgets, and is flooded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from pullstudy.pulls.kubernetes.book import Book
from pullstudy.pulls.kubernetes.connect import Api, connect
from pullstudy.pulls.kubernetes.watch import Watcher
from tests.cluster.lab import Lab

pytestmark = pytest.mark.integration

NAMESPACE = "flood"
NODES = 1000
REASONS = ("Scheduled", "Pulling", "Pulled", "Created", "Started")
AT_ONCE = 8


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    api.create(body)
    yield NAMESPACE
    api.delete(body)
    while api.read(body) is not None:
        time.sleep(0.2)


def make_event(number: int, reason: str, job: str) -> dict[str, Any]:
    pod = f"{job}-{number}-abcde"
    stamp = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod}.{reason.lower()}", "namespace": NAMESPACE},
        "involvedObject": {"kind": "Pod", "name": pod, "namespace": NAMESPACE, "uid": pod},
        "reason": reason,
        "message": 'Successfully pulled image "a/b:c" in 1s' if reason == "Pulled" else reason,
        "source": {"component": "kubelet", "host": f"node{number}"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "type": "Normal",
    }


class Poster:
    """Posts events as fast as the API server takes them."""

    def __init__(self, lab: Lab, job: str) -> None:
        self._local = threading.local()
        self._config = str(lab.plane.kubeconfig())
        self._job = job

    def post(self, numbers: range) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            wanted = [(number, reason) for number in numbers for reason in REASONS]
            list(pool.map(self._post_one, wanted))

    def _post_one(self, each: tuple[int, str]) -> None:
        if not hasattr(self._local, "api"):
            self._local.api = connect(self._config)
        self._local.api.create(make_event(*each, self._job))


def wait_for(book: Book, count: int) -> None:
    end = time.monotonic() + 60
    while book.event_count < count and time.monotonic() < end:
        book.wait(0.2)


def keys_of(items: list[msgspec.Raw]) -> set[str]:
    return {msgspec.json.decode(item)["metadata"]["name"] for item in items}


def test_a_thousand_nodes_lose_no_event(lab: Lab, api: Api, namespace: str) -> None:
    book = Book()
    book.begin("flood")
    with Watcher(api, api.core.list_namespaced_event, (namespace,), book.add_event) as watcher:
        Poster(lab, "flood").post(range(NODES))
        wait_for(book, NODES * len(REASONS))
        watcher.check()
    told = [f"flood-{n}-abcde" for n in range(NODES)]
    assert all(book.told[pod]["pulled"] == 1 for pod in told)
    assert book.event_count == NODES * len(REASONS)
    assert keys_of(book.take_events()) == {
        f"{pod}.{reason.lower()}" for pod in told for reason in REASONS
    }
    assert not book.take_events()


def test_an_api_server_that_forgets_and_comes_back_costs_no_event(
    lab: Lab, api: Api, namespace: str
) -> None:
    """Events are written while the watch is cut off, and what it would go on from is compacted."""
    book, poster = Book(), Poster(lab, "cut")
    book.begin("cut")
    with Watcher(api, api.core.list_namespaced_event, (namespace,), book.add_event) as watcher:
        poster.post(range(10))
        wait_for(book, 10 * len(REASONS))
        # The thread must not have gone on before everything was written and forgotten.
        with book.news:
            writer = threading.Thread(target=poster.post, args=(range(10, 30),))
            writer.start()
            writer.join()
            lab.plane.apiserver.kill()
            lab.plane.compact()
            lab.plane.apiserver.start()
            lab.plane.apiserver.wait()
        wait_for(book, 30 * len(REASONS))
        watcher.check()
        assert watcher.reconnected >= 1
        poster.post(range(30, 40))
        wait_for(book, 40 * len(REASONS))
    assert keys_of(book.take_events()) == {
        f"cut-{n}-abcde.{reason.lower()}" for n in range(40) for reason in REASONS
    }


def test_a_version_that_has_expired_is_listed_again(lab: Lab, api: Api, namespace: str) -> None:
    book, poster = Book(), Poster(lab, "old")
    book.begin("old")
    watcher = Watcher(api, api.core.list_namespaced_event, (namespace,), book.add_event)
    listing = api.list(api.core.list_namespaced_event, namespace)
    with watcher:
        watcher._version = listing.version
        watcher._interrupt()
        poster.post(range(5))
        lab.plane.compact()
        watcher._version = "1"
        watcher._interrupt()
        wait_for(book, 5 * len(REASONS))
        end = time.monotonic() + 20
        while watcher.relisted == 0 and time.monotonic() < end:
            time.sleep(0.1)
        assert watcher.relisted >= 1
        poster.post(range(5, 10))
        wait_for(book, 10 * len(REASONS))
    assert book.event_count == 10 * len(REASONS)
