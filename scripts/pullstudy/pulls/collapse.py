"""Make one pull of the reports of all pods that waited for it on one node.

Pods that share a node ask for the same image at the same time. The container runtime pulls once;
a kubelet that pulls in parallel reports the whole duration for each pod, one that pulls serially a
short one with a long waiting. Reports belong together when their spans, request to result, meet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pullstudy.pulls.record import Cluster, Pull, Tally, read_crafted_tag, registry_of
from pullstudy.pulls.reports import RESOLUTION_US, Report


def collapse_reports(cluster: Cluster, reports: Iterable[Report], tally: Tally) -> Iterator[Pull]:
    """Yield the pulls of a cluster by node and image, each node's attempts in the order of time.

    That an image was present after this node had pulled it is counted in `tally`: it says nothing
    new.
    """
    groups: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in reports:
        groups[report.node, report.image].append(report)
    for key in sorted(groups):
        pulls = [_make_pull(cluster, together) for together in _attempts(groups[key], tally)]
        for number, pull in enumerate(pulls, start=1):
            pull.attempt = number
            yield pull


def _attempts(reports: list[Report], tally: Tally) -> list[list[Report]]:
    """Split the reports of one node and image into attempts, in the order of time."""
    if len(reports) == 1:
        return [reports]
    attempts = []
    for kind in ("pulled", "failed", "unfinished"):
        attempts += _meeting_spans([report for report in reports if report.kind == kind])
    attempts.sort(key=lambda attempt: (_begin(attempt[0]) or 0, attempt[0].kind))
    present = [report for report in reports if report.kind == "present"]
    pulled = [attempt[0] for attempt in attempts if attempt[0].kind == "pulled"]
    if pulled:
        since = _begin(pulled[0]) or 0
        before = [report for report in present if (report.pulled_us or since) < since]
        if after := len(present) - len(before):
            tally["event", "present_after_pull", None] += after
        present = before
    if present:
        present.sort(key=lambda report: report.pulled_us or 0)
        attempts.insert(0, present)
    return attempts


def _meeting_spans(reports: list[Report]) -> list[list[Report]]:
    reports.sort(key=lambda report: (_begin(report) or 0, report.pulled_us or 0))
    groups: list[list[Report]] = []
    end = 0
    for report in reports:
        begin = _begin(report)
        if not groups or (begin is not None and begin > end + RESOLUTION_US):
            groups.append([])
        groups[-1].append(report)
        end = max(end, report.pulled_us or begin or 0)
    return groups


def _begin(report: Report) -> int | None:
    waited = report.seconds_including_waiting
    if report.pulled_us is not None and waited is not None:
        return report.pulled_us - round(waited * 1_000_000)
    return report.pulled_us if report.requested_us is None else report.requested_us


def _make_pull(cluster: Cluster, reports: list[Report]) -> Pull:
    """Make the row: times of the first pod, durations of the pod whose report is the longest."""
    if len(reports) > 1:
        reports.sort(key=lambda report: report.pulled_us or 0)
    waits = [_waiting(report) for report in reports]
    worker = reports[0] if len(reports) == 1 else max(reports, key=_weight)
    seconds, ended = worker.seconds, worker.pulled_us
    layers, nominal_bytes = read_crafted_tag(worker.image)
    return Pull(
        study=cluster.study,
        run=cluster.run,
        cluster_size=cluster.cluster_size,
        node=worker.node,
        image=worker.image,
        registry=registry_of(worker.image),
        layers=layers,
        nominal_bytes=nominal_bytes,
        compressed_bytes=worker.size_bytes,
        scheduled_at_utc=_first([report.scheduled_us for report in reports]),
        requested_at_utc=_first([report.requested_us or _begin(report) for report in reports]),
        started_at_utc=None if seconds is None or ended is None else ended - round(seconds * 1e6),
        pulled_at_utc=ended,
        ready_at_utc=_first([report.ready_us for report in reports]),
        seconds=seconds,
        seconds_including_waiting=max([wait for wait in waits if wait is not None], default=None),
        outcome=worker.kind,
        error=worker.error,
        job=next((report.job for report in reports if report.job is not None), None),
        reports=len(reports),
        reported_seconds=[report.seconds for report in reports],
        reported_seconds_including_waiting=waits,
    )


def _weight(report: Report) -> tuple[float, float]:
    return report.seconds or 0.0, _waiting(report) or 0.0


def _waiting(report: Report) -> float | None:
    """Return the time from request to result, as reported, else between the two events."""
    if report.kind not in ("pulled", "failed"):
        return None
    if report.seconds_including_waiting is not None:
        return report.seconds_including_waiting
    if report.requested_us is None or report.pulled_us is None:
        return None
    return (report.pulled_us - report.requested_us) / 1_000_000


def _first(times: Sequence[int | None]) -> int | None:
    known = [at for at in times if at is not None]
    return min(known) if known else None
