"""Put the events of one cluster together: one report for each container that needed an image.

A container's story is spread over events of different writers: the scheduler gave its pod to a
node, the kubelet began and ended the pull, the container started. They are joined by the pod and
the container. A job's end comes from the job controller.
"""

from __future__ import annotations

import bisect
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from pullstudy.pulls.events import Event, Involved, Labels
from pullstudy.pulls.messages import IMAGE_REASONS, ImageMessage, parse_message
from pullstudy.pulls.record import Tally

# Times are whole seconds where the event's name does not tell more.
RESOLUTION_US = 1_000_000

_FAILED_JOB = frozenset(
    {"BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "PodFailurePolicy"}
)
_search_assigned = re.compile(r"Successfully assigned \S+ to (\S+)$").search
_search_created_pod = re.compile(r"Created pod: (\S+)$").search

Pod = str
Container = tuple[Pod, str]


class Report(msgspec.Struct, gc=False, kw_only=True):
    """What one container reported about its image; times in microseconds since 1970."""

    kind: str
    node: str
    image: str
    job: str | None = None
    scheduled_us: int | None = None
    requested_us: int | None = None
    pulled_us: int | None = None
    ready_us: int | None = None
    seconds: float | None = None
    seconds_including_waiting: float | None = None
    size_bytes: int | None = None
    error: str | None = None


class JobTimes(msgspec.Struct):
    """When a job's first pod was created and when it ended."""

    name: str
    created_us: int | None = None
    completed_us: int | None = None
    outcome: str = "unfinished"


class _Result(msgspec.Struct, gc=False):
    at_us: int | None
    node: str | None
    pod_name: str
    message: ImageMessage


class ClusterLog:
    """Collect events of one cluster in any order; `reports` and `jobs` are read at the end.

    Each event goes into one of them or is counted in `tally`.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.jobs: dict[str, JobTimes] = {}
        self.node_labels: dict[str, Labels] = {}
        self._seen: dict[str, int] = {}
        self._scheduled: dict[Pod, Event] = {}
        self._job_of_pod: dict[str, str] = {}
        self._started: dict[Container, list[Event]] = defaultdict(list)
        self._requests: dict[tuple[Container, str], list[int]] = defaultdict(list)
        self._results: dict[tuple[Container, str], list[_Result]] = defaultdict(list)
        self._askers: dict[Pod, tuple[str, str | None]] = {}

    def add(self, event: Event) -> None:
        """Take in one event, or one more state of it."""
        about, reason = event.about, event.reason or ""
        if about is None:
            return
        if about.kind == "Pod":
            self._add_of_pod(event, about, reason)
        elif about.kind == "Job":
            self._add_of_job(event, about, reason)
        else:
            if about.kind == "Node" and about.labels and about.labels.instance_type:
                self.node_labels[about.name] = about.labels
            self._drop("other_event", reason)

    def reports(self) -> Iterator[Report]:
        """Yield a report for each result, then for each request that has none."""
        used: set[Pod] = set()
        for key, results in self._results.items():
            requests = sorted(self._requests.pop(key, ()))
            for result, requested in _pair(results, requests):
                report = self._report(key, result, requested)
                if report is None:
                    self._drop("no_node", result.message.kind)
                    continue
                used.add(key[0][0])
                yield report
            yield from self._unfinished(key, requests, max(r.at_us or 0 for r in results))
        for key, requests in self._requests.items():
            yield from self._unfinished(key, sorted(requests), 0)
        self._count_unrelated(used)

    def _add_of_pod(self, event: Event, about: Involved, reason: str) -> None:
        pod = about.uid or about.name
        message = parse_message(reason, event.text) if reason in IMAGE_REASONS else None
        if message is not None:
            self._add_of_image(event, about, pod, message)
        elif reason == "Scheduled":
            self._scheduled[pod] = event
        elif reason == "Started" and about.fieldPath:
            self._started[pod, about.fieldPath].append(event)
        else:
            self._drop("other_event", reason)
            return
        if about.labels and (job := about.labels.job or about.labels.controller):
            self._job_of_pod[about.name] = job

    def _add_of_image(self, event: Event, about: Involved, pod: Pod, message: ImageMessage) -> None:
        times = self._occurrences(event)
        if message.kind in ("back_off", "repeated_failure"):
            self.tally["event", message.kind, None] += len(times)
            return
        key = ((pod, about.fieldPath or ""), message.image)
        if message.kind == "pulling":
            self._askers[pod] = (about.name, event.node)
            self._requests[key] += [at for at in times if at is not None]
        else:
            self._results[key] += [_Result(at, event.node, about.name, message) for at in times]

    def _add_of_job(self, event: Event, about: Involved, reason: str) -> None:
        job = self.jobs.setdefault(about.uid or about.name, JobTimes(about.name))
        at = event.first_us
        if reason == "SuccessfulCreate":
            if pod := _search_created_pod(event.text):
                self._job_of_pod.setdefault(pod[1], about.uid or about.name)
            if at is not None:
                job.created_us = at if job.created_us is None else min(at, job.created_us)
        elif reason == "Completed" or reason in _FAILED_JOB:
            job.completed_us = at
            job.outcome = "completed" if reason == "Completed" else "failed"
        else:
            self._drop("other_event", reason)

    def _occurrences(self, event: Event) -> Sequence[int | None]:
        """Return the times that this state of the event adds; those in between are counted."""
        uid = event.metadata.uid if event.metadata else ""
        count = event.repetitions
        known = self._seen.get(uid, 0) if uid else 0
        if count <= known:
            self._drop("duplicate", event.reason)
            return ()
        self._seen[uid] = count
        if count == 1:
            return (event.first_us,)
        times = (event.last_us,) if known else (event.first_us, event.last_us)
        if missing := count - known - len(times):
            self.tally["event", "repetition_without_time", event.reason] += missing
        return times

    def _report(
        self, key: tuple[Container, str], result: _Result, requested: int | None
    ) -> Report | None:
        container, image = key
        scheduled = self._scheduled.get(container[0])
        node = result.node or _assigned_node(scheduled)
        if node is None:
            return None
        message = result.message
        return Report(
            kind=message.kind,
            node=node,
            image=image,
            job=self._job_of(result.pod_name, requested or result.at_us),
            scheduled_us=scheduled.first_us if scheduled else None,
            requested_us=requested,
            pulled_us=result.at_us,
            ready_us=self._ready(container, result.at_us),
            seconds=message.seconds,
            seconds_including_waiting=message.seconds_including_waiting,
            size_bytes=message.size_bytes,
            error=message.error,
        )

    def _unfinished(
        self, key: tuple[Container, str], requests: list[int], after_us: int
    ) -> Iterator[Report]:
        """Yield a report when the last request has no result; earlier ones are counted."""
        pod = key[0][0]
        scheduled = self._scheduled.get(pod)
        pod_name, asker = self._askers.get(pod, (pod, None))
        node = asker or _assigned_node(scheduled)
        late = bool(requests) and requests[-1] > after_us + RESOLUTION_US and node is not None
        if lost := len(requests) - late:
            self.tally["event", "request_without_result", None] += lost
        if late and node is not None:
            yield Report(
                kind="unfinished",
                node=node,
                image=key[1],
                job=self._job_of(pod_name, requests[-1]),
                scheduled_us=scheduled.first_us if scheduled else None,
                requested_us=requests[-1],
            )

    def _job_of(self, pod_name: str, at_us: int | None) -> str | None:
        """Name a pod's job: by its label or the job's event, else by the job's name and time."""
        known = self._job_of_pod.get(pod_name)
        if known is not None:
            return known
        # `<job>-<random>` or, of an indexed job, `<job>-<index>-<random>`.
        names = {pod_name.rsplit("-", 1)[0], pod_name.rsplit("-", 2)[0]}
        begun = [
            (job.created_us, uid)
            for uid, job in self.jobs.items()
            if job.name in names
            and job.created_us is not None
            and at_us is not None
            and job.created_us <= at_us + RESOLUTION_US
        ]
        return max(begun)[1] if begun else None

    def _ready(self, container: Container, pulled_us: int | None) -> int | None:
        earliest = (pulled_us or 0) - RESOLUTION_US
        times = [event.first_us for event in self._started.get(container, ())]
        return min([at for at in times if at is not None and at >= earliest], default=None)

    def _count_unrelated(self, used: set[Pod]) -> None:
        """Count the events of pods that reported nothing."""
        scheduled = sum(pod not in used for pod in self._scheduled)
        started = sum(len(all_) for (pod, _), all_ in self._started.items() if pod not in used)
        for reason, count in (("Scheduled", scheduled), ("Started", started)):
            if count:
                self.tally["event", "other_event", reason] += count

    def _drop(self, cause: str, reason: str | None) -> None:
        self.tally["event", cause, reason or None] += 1


def _assigned_node(scheduled: Event | None) -> str | None:
    match = None if scheduled is None else _search_assigned(scheduled.text)
    return None if match is None else match[1]


def _pair(results: list[_Result], requests: list[int]) -> Iterator[tuple[_Result, int | None]]:
    """Give each result the last request before it; what is given is taken out of `requests`.

    Requests between two results that neither took stay: their own result is not recorded.
    """
    if len(results) > 1:
        results.sort(key=lambda result: (result.at_us is not None, result.at_us or 0))
    for result in results:
        requested = None
        if requests and result.message.kind != "present" and result.at_us is not None:
            before = bisect.bisect_right(requests, result.at_us + RESOLUTION_US)
            requested = requests.pop(before - 1) if before else None
        yield result, requested
