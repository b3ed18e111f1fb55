"""Make the rows of one cluster out of its event logs and its list of nodes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pullstudy.pulls.collapse import collapse_reports
from pullstudy.pulls.documents import Document, kind_of
from pullstudy.pulls.events import Event, read_event_lines, read_events
from pullstudy.pulls.nodes import describe_by_labels, read_nodes
from pullstudy.pulls.record import Cluster, Job, Node, Pull, Tally
from pullstudy.pulls.reports import ClusterLog, JobTimes, Report


class ClusterRows(msgspec.Struct):
    """The rows of one cluster, and which of its reports they stand for."""

    pulls: list[Pull]
    jobs: list[Job]
    nodes: dict[str, Node]
    reports: list[Report]


class ClusterFiles:
    """Take in the files of one folder; `finish` makes their rows."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._nodes: dict[str, Node] = {}
        self._log = ClusterLog(Counter())

    def read_lines(self, content: bytes, tally: Tally) -> None:
        """Read events line by line; what is none is counted in `tally`, also by `finish`."""
        for events in read_event_lines(content, tally):
            self._add_events(events, tally)

    def read_objects(self, documents: Sequence[Document], tally: Tally) -> None:
        """Read events or nodes; what is neither is counted in `tally`, also by `finish`."""
        if documents and kind_of(documents[0]) == "Node":
            self._add_nodes(read_nodes(documents, self._cluster, tally), tally)
        else:
            self._add_events(read_events(documents, tally), tally)

    def finish(self, sizes: Mapping[str, int]) -> ClusterRows:
        """Return the rows; sizes: {image: compressed bytes} for events that do not say."""
        cluster = self._cluster
        if cluster.cluster_size is None and self._nodes:
            cluster = Cluster(cluster.study, cluster.run, len(self._nodes))
        reports = list(self._log.reports())
        nodes = {
            name: msgspec.structs.replace(node, cluster_size=cluster.cluster_size)
            for name, node in self._nodes.items()
        }
        for name in {report.node for report in reports} | set(self._log.node_labels):
            if name not in nodes:
                nodes[name] = describe_by_labels(cluster, name, self._log.node_labels.get(name))
        rows = make_rows(cluster, reports, nodes, sizes, self._log.tally)
        rows.jobs.extend(_make_jobs(cluster, self._log.jobs, rows.pulls, nodes.values()))
        return rows

    def _add_events(self, events: Iterable[Event], tally: Tally) -> None:
        self._log.tally = tally
        for event in events:
            self._log.add(event)

    def _add_nodes(self, nodes: Iterable[Node], tally: Tally) -> None:
        for node in nodes:
            if node.node in self._nodes:
                tally["node", "duplicate", None] += 1
            self._nodes.setdefault(node.node, node)


def make_rows(
    cluster: Cluster,
    reports: list[Report],
    nodes: dict[str, Node],
    sizes: Mapping[str, int],
    tally: Tally,
) -> ClusterRows:
    """Collapse reports into pulls, and tell each pull what its node is."""
    pulls = list(collapse_reports(cluster, reports, tally))
    common = _agree(nodes.values())
    for pull in pulls:
        node = nodes[pull.node]
        pull.platform = node.platform or common.platform
        pull.strategy = node.strategy or common.strategy
        if pull.compressed_bytes is None:
            pull.compressed_bytes = sizes.get(pull.image)
        node.pulls += pull.outcome == "pulled"
    return ClusterRows(pulls, [], nodes, reports)


def _make_jobs(
    cluster: Cluster, jobs: Mapping[str, JobTimes], pulls: Sequence[Pull], nodes: Iterable[Node]
) -> list[Job]:
    pulls_of = defaultdict(list)
    for pull in pulls:
        pulls_of[pull.job].append(pull)
    common = _agree(nodes)
    return [
        _make_job(cluster, uid, jobs[uid], pulls_of[uid], common)
        for uid in sorted(jobs, key=lambda uid: (jobs[uid].created_us or 0, uid))
    ]


def _make_job(
    cluster: Cluster, uid: str, job: JobTimes, pulls: Sequence[Pull], common: Node
) -> Job:
    moved: Counter[str] = Counter()
    for pull in pulls:
        moved[pull.image] += pull.compressed_bytes or 0
    seconds = None
    if job.created_us is not None and job.completed_us is not None:
        seconds = (job.completed_us - job.created_us) / 1_000_000
    return Job(
        study=cluster.study,
        run=cluster.run,
        strategy=common.strategy,
        platform=common.platform,
        cluster_size=cluster.cluster_size,
        job=uid,
        name=job.name,
        image=min(moved, key=lambda image: (-moved[image], image)) if moved else None,
        nodes=len({pull.node for pull in pulls}),
        created_at_utc=job.created_us,
        completed_at_utc=job.completed_us,
        seconds=seconds,
        outcome=job.outcome,
    )


def _agree(nodes: Iterable[Node]) -> Node:
    """Return the platform and the strategy that all nodes share, where they do."""
    nodes = list(nodes)
    platforms = {node.platform for node in nodes} - {None}
    strategies = {node.strategy for node in nodes} - {None}
    return Node(
        study="",
        run="",
        node="",
        platform=platforms.pop() if len(platforms) == 1 else None,
        strategy=strategies.pop() if len(strategies) == 1 else None,
    )
