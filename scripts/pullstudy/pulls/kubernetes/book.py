"""What the watches have told so far: events by the pod they are about, pods and nodes as they are.

Events are kept as they stand in JSON and read by the code that reads published ones. Handlers are
called by the watches' threads; whoever waits for news is woken.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

import msgspec

from pullstudy.pulls.messages import IMAGE_REASONS, parse_message
from pullstudy.pulls.record import Tally


class _Identity(msgspec.Struct):
    name: str = ""
    uid: str = ""
    version: str = msgspec.field(name="resourceVersion", default="")
    labels: dict[str, str] = {}


class _About(msgspec.Struct):
    name: str = ""


class _SomeEvent(msgspec.Struct):
    metadata: _Identity
    reason: str = ""
    message: str = ""
    about: _About = msgspec.field(name="involvedObject", default_factory=_About)


class Condition(msgspec.Struct, frozen=True):
    """A condition of a pod or a node."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: str | None = msgspec.field(name="lastTransitionTime", default=None)


class _Waiting(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


class _Ended(msgspec.Struct, frozen=True, rename="camel"):
    reason: str = ""
    exit_code: int = 0
    started_at: str | None = None
    finished_at: str | None = None


class _Running(msgspec.Struct, frozen=True, rename="camel"):
    started_at: str | None = None


class _State(msgspec.Struct, frozen=True):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: _Ended | None = None


class ContainerStatus(msgspec.Struct, frozen=True):
    """What the kubelet says of a container."""

    state: _State = _State()
    image_id: str = msgspec.field(name="imageID", default="")


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class _PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class Pod(msgspec.Struct, frozen=True):
    """What of a pod counts here."""

    metadata: _Identity
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()

    @property
    def container(self) -> _State:
        """The state of the only container."""
        statuses = self.status.container_statuses
        return statuses[0].state if statuses else _State()

    def condition(self, kind: str) -> Condition | None:
        """Return a condition, if it is set."""
        return next((c for c in self.status.conditions if c.type == kind), None)

    @property
    def has_started(self) -> bool:
        """Whether the container ran, or runs."""
        state = self.container
        ended = state.terminated
        return state.running is not None or (ended is not None and ended.started_at is not None)

    @property
    def is_ready(self) -> bool:
        """Whether the kubelet calls it ready."""
        ready = self.condition("Ready")
        return ready is not None and ready.status == "True"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status.phase in ("Succeeded", "Failed")


class _NodeStatus(msgspec.Struct):
    conditions: tuple[Condition, ...] = ()


class _SomeNode(msgspec.Struct):
    metadata: _Identity
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


_decode_event = msgspec.json.Decoder(_SomeEvent).decode
_decode_pod = msgspec.json.Decoder(Pod).decode
_decode_node = msgspec.json.Decoder(_SomeNode).decode


class Book:
    """Everything that was told and not yet taken out."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.pods: dict[str, Pod] = {}
        self.unready_nodes: dict[str, str] = {}
        self.nodes: set[str] = set()
        self.event_count = 0
        # What the kubelet has said of each pod: pulled, present, failed, started.
        self.told: dict[str, Counter[str]] = defaultdict(Counter)
        self._job: str | None = None
        self._events: dict[str, dict[tuple[str, str], msgspec.Raw]] = defaultdict(dict)

    def add_event(self, change: str, item: msgspec.Raw) -> None:
        """Keep a state of an event; one that expires was kept before."""
        if change == "DELETED":
            return
        event = _decode_event(item)
        about = event.about.name
        with self.news:
            if change == "LISTED" and not self._is_mine(about):
                return  # A list holds all of the last hour: it was handled in its time.
            states = self._events[about]
            key = (event.metadata.uid, event.metadata.version)
            if key not in states:
                # A copy: the object is a piece of what came with the watch.
                states[key] = msgspec.Raw(bytes(item))
                self.event_count += 1
                self._note(about, event)
                self.news.notify_all()

    def add_pod(self, change: str, item: msgspec.Raw) -> None:
        """Keep what a pod is now; one that is gone stays as it was last."""
        pod = _decode_pod(item)
        with self.news:
            self.pods[pod.metadata.name] = pod
            self.news.notify_all()

    def add_node(self, change: str, item: msgspec.Raw) -> None:
        """Keep whether a node is ready, and why not."""
        node = _decode_node(item)
        name = node.metadata.name
        with self.news:
            if change == "DELETED":
                self.nodes.discard(name)
                self.unready_nodes[name] = "the node was deleted"
            else:
                self.nodes.add(name)
                ready = next((c for c in node.status.conditions if c.type == "Ready"), None)
                if ready is not None and ready.status == "True":
                    self.unready_nodes.pop(name, None)
                else:
                    self.unready_nodes[name] = (
                        f"the node is not ready: {ready.reason}" if ready else "the node is new"
                    )
            self.news.notify_all()

    def begin(self, job: str) -> Tally:
        """Turn to a new job; drops everything else and counts the events that nobody read."""
        dropped: Tally = Counter()
        with self.news:
            self._job = job
            for name in [name for name in self._events if not self._is_mine(name)]:
                for item in self._events.pop(name).values():
                    dropped["event", "other_event", _decode_event(item).reason or None] += 1
            for book in (self.pods, self.told):
                for name in [name for name in book if not self._is_mine(name)]:
                    del book[name]
        return dropped

    def take_events(self) -> list[msgspec.Raw]:
        """Return all states of the events about the job and its pods; they are gone then."""
        with self.news:
            names = [name for name in self._events if self._is_mine(name)]
            return [item for name in names for item in self._events.pop(name).values()]

    def pods_of_job(self) -> list[Pod]:
        """Return the pods of the job."""
        with self.news:
            return [pod for name, pod in self.pods.items() if self._is_mine(name)]

    def wait(self, seconds: float) -> None:
        """Wait for news, but not longer than this."""
        with self.news:
            self.news.wait(max(seconds, 0.0))

    def _is_mine(self, name: str) -> bool:
        job = self._job
        return job is not None and (name == job or name.startswith(f"{job}-"))

    def _note(self, pod: str, event: _SomeEvent) -> None:
        if event.reason == "Started":
            self.told[pod]["started"] += 1
        elif event.reason in IMAGE_REASONS and (
            message := parse_message(event.reason, event.message)
        ):
            self.told[pod][message.kind] += 1
