"""Make the rows of a trial out of its events and pods, by the code that reads published events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pullstudy.pulls.backend import PULLED, Trial
from pullstudy.pulls.collapse import collapse_reports
from pullstudy.pulls.events import parse_time, read_events
from pullstudy.pulls.kubernetes.book import Pod
from pullstudy.pulls.record import Cluster, Pull, Tally
from pullstudy.pulls.reports import ClusterLog

UNFINISHED = "unfinished"


def make_pulls(
    trial: Trial,
    reference: str,
    events: Sequence[msgspec.Raw],
    pods: Iterable[Pod],
    lost: Mapping[str, str],
    tally: Tally,
) -> list[Pull]:
    """Return one row for each node of the trial: its last pull, or why there is none.

    reference: what was pulled. lost: {node: why nothing came of it}, for all nodes that have told
    nothing or not enough. What no row stands for is counted in `tally`.
    """
    plan = trial.cluster
    log = ClusterLog(tally)
    for event in read_events(events, tally):
        log.add(event)
    cluster = Cluster(plan.study, plan.run, plan.size)
    found: dict[str, Pull] = {}
    for pull in collapse_reports(cluster, log.reports(), tally):
        if pull.image != reference:
            tally["pull", "other_image", None] += 1
        elif pull.node in found and not _is_later(pull, found[pull.node]):
            tally["pull", "earlier_attempt", None] += 1
        else:
            tally["pull", "earlier_attempt", None] += pull.node in found
            found[pull.node] = pull
    pods_on = {pod.spec.node_name: pod for pod in pods if pod.spec.node_name}
    rows = [_complete(trial, found[node], pods_on.get(node), lost.get(node)) for node in found]
    rows += (_make_lost(trial, n, pods_on.get(n), lost[n]) for n in lost if n not in found)
    return sorted(rows, key=lambda row: row.node)


def new_tally() -> Tally:
    """Return an empty tally."""
    return Counter()


def _is_later(pull: Pull, other: Pull) -> bool:
    return (pull.pulled_at_utc or pull.requested_at_utc or 0) >= (
        other.pulled_at_utc or other.requested_at_utc or 0
    )


def _complete(trial: Trial, pull: Pull, pod: Pod | None, why: str | None) -> Pull:
    """Say which trial a row belongs to, and when the pod was ready if a probe told."""
    columns = {
        name: getattr(pull, name)
        for name in (
            "compressed_bytes",
            "scheduled_at_utc",
            "requested_at_utc",
            "started_at_utc",
            "pulled_at_utc",
            "ready_at_utc",
            "seconds",
            "seconds_including_waiting",
            "error",
            "reports",
            "reported_seconds",
            "reported_seconds_including_waiting",
        )
    }
    if probed := _probed_at(trial, pod):
        columns["ready_at_utc"] = probed
    columns["error"] = columns["error"] or why
    return trial.pull_row(pull.node, pull.outcome, **columns)


def _make_lost(trial: Trial, node: str, pod: Pod | None, why: str) -> Pull:
    """Make the row of a node whose kubelet has not told how its pull went."""
    has_started = pod is not None and pod.has_started
    scheduled = pod.condition("PodScheduled") if pod else None
    return trial.pull_row(
        node,
        PULLED if has_started else UNFINISHED,
        scheduled_at_utc=parse_time(scheduled.since) if scheduled and scheduled.since else None,
        error=why,
        reports=0,
    )


def _probed_at(trial: Trial, pod: Pod | None) -> int | None:
    """Return when the kubelet called the pod ready, to the second, where a probe decided it."""
    ready = pod.condition("Ready") if pod else None
    if "probe" not in trial.cluster.settings.options or ready is None or ready.status != "True":
        return None
    return None if ready.since is None else parse_time(ready.since)
