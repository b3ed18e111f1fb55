import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from pullstudy.pulls.events import Event, parse_time, read_event_lines, read_events
from pullstudy.pulls.record import Tally

AT = "2024-11-10T06:14:32Z"
V1 = {
    "metadata": {"name": "pod-1.0", "uid": "u1", "namespace": "default"},
    "reason": "Pulled",
    "message": "text",
    "source": {"component": "kubelet", "host": "node-1"},
    "firstTimestamp": AT,
    "lastTimestamp": "2024-11-10T06:15:00Z",
    "count": 3,
    "eventTime": None,
    "reportingInstance": "other",
    "involvedObject": {"kind": "Pod", "name": "pod-1", "fieldPath": "spec.containers{a}"},
}
NEW = {
    "apiVersion": "events.k8s.io/v1",
    "metadata": {"name": "pod-1.0", "uid": "u1"},
    "reason": "Pulled",
    "note": "text",
    "deprecatedSource": {"component": "kubelet", "host": "node-1"},
    "deprecatedFirstTimestamp": AT,
    "deprecatedLastTimestamp": "2024-11-10T06:15:00Z",
    "deprecatedCount": 3,
    "regarding": {"kind": "Pod", "name": "pod-1", "fieldPath": "spec.containers{a}"},
}
SERIES = {
    "metadata": {"name": "pod-1.0", "uid": "u1"},
    "reason": "Pulled",
    "note": "text",
    "eventTime": "2024-11-10T06:14:32.000000Z",
    "series": {"count": 3, "lastObservedTime": "2024-11-10T06:15:00.000000Z"},
    "reportingInstance": "node-1",
    "regarding": {"kind": "Pod", "name": "pod-1"},
}


def read(content: bytes) -> tuple[list[Event], Tally]:
    tally: Tally = Counter()
    return [event for events in read_event_lines(content, tally) for event in events], tally


def micro(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.mark.parametrize("raw", [V1, NEW, SERIES], ids=["v1", "events.k8s.io", "series"])
def test_all_shapes_of_an_event_say_the_same(raw: dict[str, object]) -> None:
    [event], tally = read(json.dumps(raw).encode())
    assert not tally
    assert (event.text, event.node, event.repetitions) == ("text", "node-1", 3)
    assert event.about is not None
    assert event.about.name == "pod-1"
    assert event.first_us == micro(AT)
    assert event.last_us == micro("2024-11-10T06:15:00Z")


def test_the_name_tells_the_time_between_the_seconds() -> None:
    at = datetime(2024, 11, 10, 6, 14, 32, 123456, tzinfo=UTC)
    nanoseconds = round(at.timestamp()) * 10**9 + 123_456_789
    exact = V1 | {"metadata": {"name": f"pod-1.{nanoseconds:x}", "uid": "u"}}
    [event], _ = read(json.dumps(exact).encode())
    assert event.first_us == micro("2024-11-10T06:14:32.123456Z")


@pytest.mark.parametrize("suffix", ["180686bfd3254125", "zz", "12"])
def test_a_name_that_contradicts_the_timestamp_is_not_believed(suffix: str) -> None:
    other = V1 | {"metadata": {"name": f"pod-1.{suffix}", "uid": "u"}}
    [event], _ = read(json.dumps(other).encode())
    assert event.first_us == micro(AT)


def test_times_that_are_none_are_missing() -> None:
    assert parse_time("soon") is None
    assert parse_time("2024-11-10T07:14:32+01:00") == micro(AT)
    [event], _ = read(json.dumps(V1 | {"firstTimestamp": None, "lastTimestamp": None}).encode())
    assert event.first_us is None


def test_each_line_that_is_no_event_is_counted_by_its_reason() -> None:
    good = json.dumps(V1).encode()
    lines = [
        good,
        b'{"level":"warn","time":"x","message":"Event discarded as being older then 1200"}',
        b'{"level":"error","error":"not found","message":"Object not found, likely deleted"}',
        b"http2: server sent GOAWAY and closed the connection; LastStreamID=4711",
        b"http2: server sent GOAWAY and closed the connection; LastStreamID=12",
        b"Error from server (NotFound): pods not found",
        b'{"a": 1}',
        b'{"metadata": 3}',
        b"",
        good[:200],
        good,
        b"\xff\xfe broken",
        good[:100],
    ]
    events, tally = read(b"\n".join(lines))
    assert len(events) == 2
    counted = Counter({reason: 0 for _, reason, _ in tally})
    for (what, reason, _), count in tally.items():
        assert what == "line"
        counted[reason] += count
    assert counted == {"log_noise": 5, "error_from_server": 1, "not_an_event": 2, "cut_off": 2}
    goaway = [key for key in tally if key[2] and "GOAWAY" in key[2]]
    assert [tally[key] for key in goaway] == [2]


def test_blocks_do_not_change_what_is_read() -> None:
    lines = []
    for number in range(3000):
        raw = V1 | {
            "metadata": {"name": "pod.1", "uid": str(number)},
            "message": "x" * (number % 97),
        }
        lines.append(json.dumps(raw).encode() if number % 400 else b"noise")
    events, tally = read(b"\n".join(lines))
    uids = [event.metadata.uid for event in events if event.metadata]
    assert uids == [str(number) for number in range(3000) if number % 400]
    assert sum(tally.values()) == 8


def test_a_line_longer_than_a_block_is_read() -> None:
    long = json.dumps(V1 | {"message": "x" * 400_000}).encode()
    events, tally = read(long + b"\n" + long)
    assert [len(event.text) for event in events] == [400_000] * 2
    assert not tally


def test_objects_are_read_like_lines() -> None:
    tally: Tally = Counter()
    events = read_events([json.dumps(V1, indent=2).encode(), b'{"kind": "Pod"}'], tally)
    assert len(events) == 1
    assert tally == {("line", "not_an_event", None): 1}


def test_an_event_is_found_behind_the_time_of_a_log_collector() -> None:
    line = json.dumps(V1, separators=(",", ":")).encode()
    events, tally = read(b"2024-11-10T06:14:33.123456Z stdout F " + line)
    assert [event.text for event in events] == ["text"]
    assert not tally
