"""Read `raw-times.json`: the published analysis's own digest of its event logs.

    {"<pod>[-<experiment>]": {"experiment": "…", "size": 64, "container": "…",
        "events": {"pulled": {"timestamp": "…Z", "instance": "<node>", "message": "…"}, …}}}

Of each kind only a pod's last event is there, to the second.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from pullstudy.pulls.events import parse_time
from pullstudy.pulls.messages import parse_message
from pullstudy.pulls.record import Cluster, Tally
from pullstudy.pulls.reports import RESOLUTION_US, Report


class _Time(msgspec.Struct, gc=False):
    timestamp: str | None = None
    instance: str | None = None
    message: str | None = None


class _Pod(msgspec.Struct, gc=False):
    events: dict[str, _Time]
    experiment: str | None = None
    size: int | None = None


_decode = msgspec.json.Decoder(dict[str, _Pod]).decode


def read_pod_times(content: bytes, cluster: Cluster, tally: Tally) -> dict[Cluster, list[Report]]:
    """Return the reports of each cluster; `cluster` names what the file itself does not.

    Pods that pulled nothing are counted in `tally`. Raises msgspec.DecodeError on other content.
    """
    found: dict[Cluster, list[Report]] = defaultdict(list)
    for pod in _decode(content).values():
        owner = Cluster(
            cluster.study,
            pod.experiment or cluster.run,
            pod.size if pod.size is not None else cluster.cluster_size,
        )
        report = _report_of(pod)
        if report is None:
            tally["pod", _why_none(pod), None] += 1
        else:
            found[owner].append(report)
    return found


def _report_of(pod: _Pod) -> Report | None:
    pulled = pod.events.get("pulled")
    message = None if pulled is None else parse_message("Pulled", pulled.message or "")
    if pulled is None or message is None or not pulled.instance:
        return None
    pulled_us = _time(pod, "pulled")
    return Report(
        kind=message.kind,
        node=pulled.instance,
        image=message.image,
        scheduled_us=_time(pod, "scheduled"),
        requested_us=_before(_time(pod, "pulling"), pulled_us),
        pulled_us=pulled_us,
        ready_us=_after(_time(pod, "started"), pulled_us),
        seconds=message.seconds,
        seconds_including_waiting=message.seconds_including_waiting,
        size_bytes=message.size_bytes,
    )


def _time(pod: _Pod, kind: str) -> int | None:
    event = pod.events.get(kind)
    return None if event is None or event.timestamp is None else parse_time(event.timestamp)


def _before(at: int | None, limit: int | None) -> int | None:
    """Keep a time that fits: another container's pull may have begun later."""
    return at if at is not None and (limit is None or at <= limit + RESOLUTION_US) else None


def _after(at: int | None, limit: int | None) -> int | None:
    return at if at is not None and (limit is None or at >= limit - RESOLUTION_US) else None


def _why_none(pod: _Pod) -> str:
    if "pulled" in pod.events:
        return "no_node" if pod.events["pulled"].message else "no_message"
    if "failed" in pod.events or "backoff" in pod.events:
        return "failure_without_message"
    return "request_without_result" if "pulling" in pod.events else "no_pull"
