"""Watches on the real API server lose nothing: it is restarted, forgets, and is flooded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from pullstudy.pulls.kubernetes.book import Book
from pullstudy.pulls.kubernetes.connect import Api
from pullstudy.pulls.kubernetes.watch import Watcher
from tests.cluster.events import REASONS, Poster, name_event
from tests.cluster.lab import Lab

pytestmark = pytest.mark.integration

NAMESPACE = "flood"
NODES = 1000


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    api.create(body)
    yield NAMESPACE
    api.delete(body)
    while api.read(body) is not None:
        time.sleep(0.2)


def poster_of(lab: Lab, job: str) -> Poster:
    return Poster(str(lab.plane.kubeconfig()), NAMESPACE, job)


def names_of(job: str, nodes: range) -> set[str]:
    return {name_event(job, node, reason) for node in nodes for reason in REASONS}


def wait_for(book: Book, count: int) -> None:
    end = time.monotonic() + 60
    while book.event_count < count and time.monotonic() < end:
        book.wait(0.2)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    assert holds()


def keys_of(items: list[msgspec.Raw]) -> set[str]:
    return {msgspec.json.decode(item)["metadata"]["name"] for item in items}


def test_a_thousand_nodes_lose_no_event(lab: Lab, api: Api, namespace: str) -> None:
    book = Book()
    book.begin("flood")
    with Watcher(api, api.core.list_namespaced_event, (namespace,), book.add_event) as watcher:
        poster_of(lab, "flood").post(range(NODES))
        wait_for(book, NODES * len(REASONS))
        watcher.check()
    assert all(book.told[f"flood-{node}-abcde"]["pulled"] == 1 for node in range(NODES))
    assert book.event_count == NODES * len(REASONS)
    assert keys_of(book.take_events()) == names_of("flood", range(NODES))
    assert not book.take_events()


def test_an_api_server_that_forgets_and_comes_back_costs_no_event(
    lab: Lab, api: Api, namespace: str
) -> None:
    """Events are written while the watch is cut off, and what it would go on from is compacted."""
    book, poster = Book(), poster_of(lab, "cut")
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
        # What had come before the cut may suffice for all events; the cut shows a moment later.
        wait_until(lambda: watcher.reconnected >= 1)
        poster.post(range(30, 40))
        wait_for(book, 40 * len(REASONS))
    assert keys_of(book.take_events()) == names_of("cut", range(40))


def test_a_version_that_has_expired_is_listed_again(lab: Lab, api: Api, namespace: str) -> None:
    book, poster = Book(), poster_of(lab, "old")
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
        wait_until(lambda: watcher.relisted >= 1)
        poster.post(range(5, 10))
        wait_for(book, 10 * len(REASONS))
    assert book.event_count == 10 * len(REASONS)


def test_bookmarks_keep_a_watch_young_on_which_nothing_comes(
    api: Api, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server sends one shortly before it ends a watch; none for events, which it never caches.
    monkeypatch.setattr("pullstudy.pulls.kubernetes.watch._WATCH_SECONDS", 4)
    handled: list[str] = []
    listed = api.core.list_namespaced_config_map

    def handle(change: str, item: msgspec.Raw) -> None:
        handled.append(change)

    with Watcher(api, listed, ("kube-node-lease",), handle) as watcher:
        seen, before = watcher._version, list(handled)
        for number in range(3):
            metadata = {"name": f"elsewhere{number}", "namespace": namespace}
            api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        wait_until(lambda: watcher.reconnected >= 1)
        watcher.check()
        assert int(watcher._version) > int(seen)
    assert (handled, watcher.relisted) == (before, 0)
