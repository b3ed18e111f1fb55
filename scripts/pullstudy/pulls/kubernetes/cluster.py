"""A cluster of a study while it is measured: its namespace, its watches and its trials."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pullstudy.pulls.backend import FAILED, ClusterPlan, Trial, TrialResult, job_of, now_us
from pullstudy.pulls.kubernetes.book import Book
from pullstudy.pulls.kubernetes.cleaning import clean_nodes
from pullstudy.pulls.kubernetes.connect import Api, ClusterError
from pullstudy.pulls.kubernetes.nodes import NodeFacts, choose_nodes, list_nodes
from pullstudy.pulls.kubernetes.objects import (
    COMPONENT,
    MANAGED,
    Manifest,
    make_cleaner,
    make_job,
    make_namespace,
    make_owner,
    make_prepuller,
    name_job,
)
from pullstudy.pulls.kubernetes.options import Options, namespace_of
from pullstudy.pulls.kubernetes.rollout import (
    JOB_LABEL,
    wait_for_daemon_set,
    wait_for_no_pods,
    wait_gone,
)
from pullstudy.pulls.kubernetes.rows import make_pulls, new_tally
from pullstudy.pulls.kubernetes.settle import Judge
from pullstudy.pulls.kubernetes.strategies import Strategy
from pullstudy.pulls.kubernetes.watch import Watcher
from pullstudy.pulls.nodes import read_nodes
from pullstudy.pulls.record import Cluster, Node

_TICK_SECONDS = 0.1
_NODES_SECONDS = 120.0
_PODS_SECONDS = 60.0


class KubernetesCluster:
    """Keeps `OpenCluster`."""

    def __init__(
        self, api: Api, plan: ClusterPlan, options: Options, strategy: Strategy, owner: Manifest
    ) -> None:
        self._api = api
        self._plan = plan
        self._options = options
        self._strategy = strategy
        self._owner = owner
        self._namespace = namespace_of(plan.study, options)
        self._token = secrets.token_hex(2)
        self._book = Book()
        self._nodes: list[NodeFacts] = []
        self._cleaners: dict[str, str] = {}
        self._unclean: tuple[str, str] | None = None
        self._events: Watcher
        self._watchers: list[Watcher] = []

    @contextlib.contextmanager
    def run(self) -> Iterator[KubernetesCluster]:
        """Choose the nodes, begin to watch, and let the cleaner start."""
        self._nodes = self._choose()
        self._plan = _with_platform(self._plan, self.describe())
        with contextlib.ExitStack() as stack:
            core, book = self._api.core, self._book
            self._events = Watcher(
                self._api, core.list_namespaced_event, (self._namespace,), book.add_event
            )
            self._watchers = [
                self._events,
                Watcher(
                    self._api,
                    core.list_namespaced_pod,
                    (self._namespace,),
                    book.add_pod,
                    label_selector=f"{MANAGED}=pullstudy,{COMPONENT}=pull",
                ),
                Watcher(self._api, core.list_node, (), book.add_node),
            ]
            for watcher in self._watchers:
                stack.enter_context(watcher)
            if self._options.clean == "daemonset":
                self._start_cleaner()
            try:
                yield self
            finally:
                # A trial was interrupted, perhaps by Ctrl-C.
                if self._unclean is not None:
                    self._clean_after(*self._unclean)

    def describe(self) -> list[Node]:
        """Return a row of `nodes` for each node."""
        plan = self._plan
        cluster = Cluster(plan.study, plan.run, plan.size)
        rows = read_nodes([facts.document for facts in self._nodes], cluster, new_tally())
        common = plan.common()
        for row in rows:
            row.strategy = common["strategy"]
            row.platform = row.platform or common["platform"]
        return rows

    def pull(self, trial: Trial) -> TrialResult:
        """Let all nodes pull the trial's image once."""
        trial = msgspec.structs.replace(trial, cluster=self._plan)
        self._wait_for_nodes()
        name = name_job(trial, self._token)
        reference = self._strategy.name_image(trial.image.reference)
        tally = self._book.begin(name)
        if self._strategy.is_prepulled:
            self._prepull(reference)
        job = make_job(
            trial,
            name,
            [facts.hostname for facts in self._nodes],
            self._options,
            self._strategy,
            self._owner,
        )
        begun = now_us()
        self._unclean = (name, reference)
        try:
            self._api.create(job)
            lost = self._wait(trial)
            ended = now_us()
        finally:
            self._api.delete(job, grace_seconds=0)
        pods = self._book.pods_of_job()
        pulls = make_pulls(trial, reference, self._book.take_events(), pods, lost, tally)
        if lost or any(pull.outcome == FAILED for pull in pulls):
            self._clean_after(name, reference)
        else:
            self._clean(reference)
        self._unclean = None
        dropped = [(*key, count) for key, count in tally.items() if count]
        return TrialResult(pulls, job_of(trial, pulls, begun, ended), dropped=dropped)

    def _choose(self) -> list[NodeFacts]:
        selector = dict(self._options.node_selector) | dict(self._strategy.node_selector)
        return choose_nodes(
            list_nodes(self._api, selector, self._options.tolerations), self._plan, selector
        )

    def _wait(self, trial: Trial) -> dict[str, str]:
        """Wait until each node is done; returns why some have no complete row."""
        limits = trial.cluster.settings.limits
        names = [facts.name for facts in self._nodes]
        judge = Judge(self._book, names, self._options, limits.timeout_seconds)
        has_asked = False
        while True:
            for watcher in self._watchers:
                watcher.check()
            settlement = judge.judge()
            if judge.is_over:
                return settlement.lost
            if settlement.owes_event and not has_asked:
                # Perhaps the watch was cut off just now.
                has_asked = True
                self._events.list_again()
                continue
            self._book.wait(_TICK_SECONDS)
            time.sleep(_TICK_SECONDS / 4)

    def _wait_for_nodes(self) -> None:
        """Go on only with all nodes: another size would be another cluster."""
        end = time.monotonic() + _NODES_SECONDS
        while unready := {
            facts.name: self._book.unready_nodes[facts.name]
            for facts in self._nodes
            if facts.name in self._book.unready_nodes
        }:
            if time.monotonic() > end:
                name, why = next(iter(unready.items()))
                raise ClusterError(
                    f"{self._plan.key}: {len(unready)} of {self._plan.size} nodes are not ready "
                    f"({name}: {why}); bring them back and run again to go on"
                )
            for watcher in self._watchers:
                watcher.check()
            self._book.wait(1.0)

    def _prepull(self, reference: str) -> None:
        """Have each node pull the image before the pods come."""
        prepuller = make_prepuller(self._plan, self._options, self._owner, reference)
        timeout = self._plan.settings.limits.timeout_seconds
        self._api.apply(prepuller)
        try:
            wait_for_daemon_set(self._api, prepuller, self._names(), timeout, needs_only_image=True)
        finally:
            self._api.delete(prepuller, grace_seconds=0)
        wait_gone(self._api, prepuller, timeout)

    def _start_cleaner(self) -> None:
        cleaner = make_cleaner(self._plan, self._options, self._owner)
        self._api.apply(cleaner)
        pods = wait_for_daemon_set(self._api, cleaner, self._names(), _NODES_SECONDS)
        self._cleaners = {pod.spec.node_name: pod.metadata.name for pod in pods}
        for image in self._plan.settings.images:
            # What is there from before, or from a run that was killed, would not be pulled.
            self._clean(self._strategy.name_image(image.reference))

    def _clean_after(self, job: str, reference: str) -> None:
        """Take the image away when no node is pulling it any more."""
        wait_for_no_pods(self._api, self._namespace, job, _PODS_SECONDS)
        self._clean(reference)

    def _clean(self, reference: str) -> None:
        """Take the image away from all nodes that are there."""
        if self._options.clean != "daemonset":
            return
        ready = [name for name in self._names() if name not in self._book.unready_nodes]
        clean_nodes(
            self._api,
            self._namespace,
            [self._cleaners[name] for name in ready],
            self._options.containerd_socket,
            reference,
        )

    def _names(self) -> list[str]:
        return [facts.name for facts in self._nodes]


def _with_platform(plan: ClusterPlan, nodes: Sequence[Node]) -> ClusterPlan:
    """Name the platform in all rows as the nodes themselves do, where they agree."""
    platforms = {node.platform for node in nodes}
    settings = msgspec.structs.replace(
        plan.settings, machine=platforms.pop() if len(platforms) == 1 else plan.settings.machine
    )
    return msgspec.structs.replace(plan, settings=settings)


def prepare_namespace(api: Api, plan: ClusterPlan, options: Options) -> Manifest:
    """Make what the run lives in; returns the object that owns the rest, as it is there."""
    if options.namespace is None:
        api.create(make_namespace(plan.study, options))
    owner = make_owner(plan.study, options)
    api.create(owner)
    found = api.read(owner)
    if found is None:
        raise ClusterError(f"{api.host}: ConfigMap {owner['metadata']['name']} is gone; run again")
    return found


def remove_leftovers(api: Api, owner: Manifest, timeout_seconds: float) -> None:
    """Delete the jobs of a runner that was killed, so that they do not pull meanwhile."""
    namespace = owner["metadata"]["namespace"]
    listing = api.list(
        api.core.list_namespaced_pod, namespace, label_selector=f"{MANAGED}=pullstudy"
    )
    jobs = {_job_of(item) for item in listing.items} - {None}
    for name in sorted(jobs, key=str):
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": namespace},
        }
        api.delete(job, grace_seconds=0)
        wait_gone(api, job, timeout_seconds)


class _Labelled(msgspec.Struct):
    labels: dict[str, str] = {}


class _Pod(msgspec.Struct):
    metadata: _Labelled


def _job_of(item: Any) -> str | None:
    pod = msgspec.json.decode(item, type=_Pod)
    return pod.metadata.labels.get(JOB_LABEL)


def list_manifests(
    plan: ClusterPlan, options: Options, strategy: Strategy, trials: Sequence[Trial]
) -> list[Manifest]:
    """Return what a cluster of a study would make, for `--dry-run`."""
    owner = make_owner(plan.study, options)
    made = [make_namespace(plan.study, options)] if options.namespace is None else []
    made.append(owner)
    if options.clean == "daemonset":
        made.append(make_cleaner(plan, options, owner))
    hosts = [f"node-{n}" for n in range(1, plan.size + 1)]
    made += (make_job(t, name_job(t, "dry"), hosts, options, strategy, owner) for t in trials)
    return made
