"""Read Kubernetes events out of the files that people keep of them.

Two shapes of one event are read: `v1` (`involvedObject`, `message`, `firstTimestamp`) and
`events.k8s.io/v1` (`regarding`, `note`, `deprecatedFirstTimestamp`), as kubernetes-event-exporter
writes them line by line and as `kubectl get events -o json` writes them in a list.
What is not an event is counted in a tally, never passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from pullstudy.pulls.documents import Document
from pullstudy.pulls.record import Tally

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_DETAIL_LENGTH = 80
_collapse_numbers = re.compile(r"[0-9][0-9a-fA-F]*").sub


class Metadata(msgspec.Struct, gc=False):
    """Name and identity of an object."""

    name: str = ""
    uid: str = ""
    namespace: str | None = None


class Source(msgspec.Struct, gc=False):
    """Who wrote the event."""

    component: str | None = None
    host: str | None = None


class Series(msgspec.Struct, gc=False):
    """Repetitions of an event, as `events.k8s.io/v1` counts them."""

    count: int | None = None
    lastObservedTime: str | None = None  # noqa: N815 (the field's name in JSON)


class Labels(msgspec.Struct, gc=False):
    """The labels of pods and nodes that pull runs need."""

    job: str | None = msgspec.field(name="batch.kubernetes.io/controller-uid", default=None)
    controller: str | None = msgspec.field(name="controller-uid", default=None)
    instance_type: str | None = msgspec.field(name="node.kubernetes.io/instance-type", default=None)
    region: str | None = msgspec.field(name="topology.kubernetes.io/region", default=None)
    zone: str | None = msgspec.field(name="topology.kubernetes.io/zone", default=None)
    gke_pool: str | None = msgspec.field(name="cloud.google.com/gke-nodepool", default=None)
    eks_pool: str | None = msgspec.field(name="eks.amazonaws.com/nodegroup", default=None)
    aks_pool: str | None = msgspec.field(name="kubernetes.azure.com/agentpool", default=None)
    boot_disk: str | None = msgspec.field(name="cloud.google.com/gke-boot-disk", default=None)
    streaming: str | None = msgspec.field(name="cloud.google.com/gke-image-streaming", default=None)
    local_ssd: str | None = msgspec.field(
        name="cloud.google.com/gke-ephemeral-storage-local-ssd", default=None
    )

    @property
    def provider(self) -> str | None:
        """The cloud, by the name that `providerID` uses for it; None: no label tells."""
        pools = (("gce", self.gke_pool), ("aws", self.eks_pool), ("azure", self.aks_pool))
        return next((name for name, pool in pools if pool is not None), None)


class Involved(msgspec.Struct, gc=False):
    """The object that an event is about."""

    kind: str | None = None
    name: str = ""
    uid: str = ""
    namespace: str | None = None
    fieldPath: str | None = None  # noqa: N815
    labels: Labels | None = None


class Event(msgspec.Struct, gc=False, rename="camel"):
    """One event, or one state of it: repetitions raise `count` under the same `metadata.uid`."""

    metadata: Metadata | None = None
    reason: str | None = None
    message: str | None = None
    note: str | None = None
    source: Source | None = None
    deprecated_source: Source | None = None
    first_timestamp: str | None = None
    deprecated_first_timestamp: str | None = None
    last_timestamp: str | None = None
    deprecated_last_timestamp: str | None = None
    event_time: str | None = None
    count: int | None = None
    deprecated_count: int | None = None
    series: Series | None = None
    reporting_instance: str | None = None
    involved_object: Involved | None = None
    regarding: Involved | None = None
    level: str | None = None

    @property
    def about(self) -> Involved | None:
        """The object that the event is about."""
        return self.involved_object or self.regarding

    @property
    def text(self) -> str:
        """The message; empty when there is none."""
        return self.message or self.note or ""

    @property
    def node(self) -> str | None:
        """The node whose kubelet wrote the event."""
        source = self.source or self.deprecated_source
        return (source.host if source else None) or self.reporting_instance or None

    @property
    def repetitions(self) -> int:
        """How often it has happened so far: at least 1."""
        series = self.series.count if self.series else None
        return series or self.count or self.deprecated_count or 1

    @property
    def first_us(self) -> int | None:
        """When it first happened, in microseconds since 1970; None: not recorded.

        client-go names an event `<object>.<UnixNano in hexadecimal>` from the same clock reading
        that it writes to the second as `firstTimestamp`: the name is used where the two agree.
        """
        text = self.first_timestamp or self.deprecated_first_timestamp or self.event_time
        at = None if text is None else parse_time(text)
        exact = None if self.metadata is None else _time_in_name(self.metadata.name)
        if at is None or exact is None:
            return at
        return exact if exact // _SECOND_US == at // _SECOND_US else at

    @property
    def last_us(self) -> int | None:
        """When it last happened, in microseconds since 1970; None: not recorded."""
        series = self.series.lastObservedTime if self.series else None
        text = series or self.last_timestamp or self.deprecated_last_timestamp
        return self.first_us if text is None else parse_time(text)


_EVENT_BEGIN = b'{"metadata"'
_decoder = msgspec.json.Decoder(Event)
# Lines are decoded in blocks of this size: faster than one by one, and little is alive at a time.
_BLOCK_BYTES = 128 * 1024


@lru_cache(maxsize=65536)
def parse_time(text: str) -> int | None:
    """Read an RFC 3339 time into microseconds since 1970; None: it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def read_event_lines(content: bytes, tally: Tally) -> Iterator[list[Event]]:
    """Yield the events of JSON lines, block by block; see `read_events` for the rest."""
    for block in _blocks(content):
        try:
            events = _decoder.decode_lines(block)
        except (msgspec.DecodeError, UnicodeDecodeError):
            lines = bytes(block).split(b"\n")
            yield read_events((line for line in lines if line and not line.isspace()), tally)
        else:
            yield _select(events, tally)


def read_events(documents: Iterable[Document], tally: Tally) -> list[Event]:
    """Return the events among the documents of a file.

    What is no event is counted in `tally` as (line, reason, detail): cut_off, error_from_server,
    log_noise, not_an_event.
    """
    events = []
    for document in documents:
        event = _event_of(document)
        if event is None:
            tally[_name_the_noise(document)] += 1
        else:
            events.append(event)
    return _select(events, tally)


def _blocks(content: bytes) -> Iterator[memoryview]:
    """Cut at line ends."""
    view, begin = memoryview(content), 0
    while begin < len(content):
        end = content.rfind(b"\n", begin, begin + _BLOCK_BYTES) + 1
        if end <= begin:
            end = content.find(b"\n", begin) + 1 or len(content)
        yield view[begin:end]
        begin = end


def _select(events: list[Event], tally: Tally) -> list[Event]:
    chosen = [event for event in events if event.metadata is not None and event.about is not None]
    if len(chosen) < len(events):
        for event in events:
            if event.metadata is None or event.about is None:
                tally[_name_the_object(event)] += 1
    return chosen


def _event_of(document: Document) -> Event | None:
    """Decode an event; log collectors put a time or a stream's name before it."""
    text = bytes(document)
    begin = max(text.find(_EVENT_BEGIN), 0)
    try:
        return _decoder.decode(text[begin:])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _time_in_name(name: str) -> int | None:
    try:
        return int(name[name.rindex(".") + 1 :], 16) // 1000
    except ValueError:
        return None


def _name_the_noise(document: Document) -> tuple[str, str, str | None]:
    text = bytes(document).decode(errors="replace").strip()
    if text.startswith(("Error from server", "error: ")):
        return ("line", "error_from_server", _shorten(text))
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        if text.startswith("{"):
            return ("line", "cut_off", None)
        return ("line", "log_noise", _shorten(text))
    return ("line", "not_an_event", None)


def _name_the_object(event: Event) -> tuple[str, str, str | None]:
    if event.level is not None:
        return ("line", "log_noise", _shorten(event.text))
    return ("line", "not_an_event", None)


def _shorten(text: str) -> str:
    """Leave of a message what messages of its kind share."""
    return _collapse_numbers("#", text.splitlines()[0] if text else "")[:_DETAIL_LENGTH]
