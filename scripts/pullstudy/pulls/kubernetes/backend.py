"""Backend `kubernetes`: the nodes of a cluster pull, by one indexed job for each trial.

Which cluster: key `endpoints`, a kubeconfig or a context of the default one; without it the
current context, or the cluster that the runner is a pod of. What else it understands: `options`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Sequence

import yaml

from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.kubernetes.cluster import (
    KubernetesCluster,
    list_manifests,
    prepare_namespace,
    remove_leftovers,
)
from pullstudy.pulls.kubernetes.connect import Api, connect
from pullstudy.pulls.kubernetes.estimate import (
    Estimate,
    check_limits,
    describe_estimates,
    estimate_cluster,
)
from pullstudy.pulls.kubernetes.install import install_strategy, remove_strategy
from pullstudy.pulls.kubernetes.objects import make_namespace, make_owner
from pullstudy.pulls.kubernetes.options import check_options, namespace_of, read_options
from pullstudy.pulls.kubernetes.preflight import Findings, inspect_cluster, refuse
from pullstudy.pulls.kubernetes.provision import (
    check_commands,
    delete_cluster,
    name_cluster,
    plan_commands,
    provide_cluster,
)
from pullstudy.pulls.kubernetes.rollout import wait_gone
from pullstudy.pulls.kubernetes.strategies import list_strategies, load_strategy
from pullstudy.pulls.measure import plan_clusters, plan_trials
from pullstudy.pulls.study import PullStudy, Run

_GONE_SECONDS = 300.0


class Kubernetes:
    """The backend; has_assent: the user accepts what the study costs."""

    name = "kubernetes"
    strategies = list_strategies()

    def __init__(self) -> None:
        self.has_assent = False
        self.findings: list[Findings] = []

    def check(self, study: PullStudy) -> None:
        """Look at everything before anything is made. Raises PullStudyError or PullError."""
        check_options(study)
        clusters = plan_clusters(study)
        options = [read_options(plan.settings) for plan in clusters]
        if not self.has_assent:
            check_limits(_estimate(study, clusters), options)
        for plan, each in zip(clusters, options, strict=True):
            check_commands(plan, each)
        self.findings = _inspect(clusters)
        refuse(self.findings)

    @contextlib.contextmanager
    def open(self, plan: ClusterPlan) -> Iterator[KubernetesCluster]:
        """Make a namespace, install what the strategy needs, and take both away again."""
        options, strategy = read_options(plan.settings), load_strategy(plan.strategy)
        with provide_cluster(plan, options) as kubeconfig:
            api = connect(kubeconfig or _endpoint(plan.settings))
            if kubeconfig:
                refuse([inspect_cluster(api, plan, options, strategy)])
            delete_all = functools.partial(_delete_all, api, plan.study, plan.settings)
            with contextlib.ExitStack() as stack:
                stack.callback(delete_all)
                owner = prepare_namespace(api, plan, options)
                remove_leftovers(api, owner, _GONE_SECONDS)
                stack.enter_context(install_strategy(api, strategy, _namespace(plan), options))
                # Before what its pods run on is taken away.
                stack.callback(delete_all)
                cluster = KubernetesCluster(api, plan, options, strategy, owner)
                yield stack.enter_context(cluster.run())

    def preview(self, study: PullStudy) -> Iterator[str]:
        """Yield the plan with its estimate, what the preflight finds, and the manifests."""
        check_options(study)
        clusters = plan_clusters(study)
        yield from (f"# {line}" for line in describe_estimates(_estimate(study, clusters)))
        for findings in _inspect(clusters):
            yield from (f"# problem: {text}" for text in findings.problems)
            yield from (f"# note: {text}" for text in findings.notes)
        for plan in clusters:
            options, strategy = read_options(plan.settings), load_strategy(plan.strategy)
            commands = plan_commands(plan, options, "kubeconfig")
            yield from (f"# $ {line}" for line in (commands.show() if commands else ()))
            trials = plan_trials(plan, study)
            yield f"# {plan.key}: {len(trials)} jobs like the last of these objects"
            for manifest in list_manifests(plan, options, strategy, trials[:1]):
                yield f"---\n{yaml.safe_dump(manifest, sort_keys=False).rstrip()}"

    def clean(self, study: PullStudy) -> Iterator[str]:
        """Delete what a study has left in its clusters, or the clusters; yields what is gone."""
        here = []
        for plan in plan_clusters(study):
            options = read_options(plan.settings)
            if not options.cluster:
                here.append(plan)
            elif delete_cluster(plan, options):
                yield f"cluster {name_cluster(plan)} is deleted"
        # Pods first: what they run on is taken away after them.
        yield from _remove_namespaces(here)
        yield from _remove_strategies(here)


def _remove_namespaces(plans: Sequence[ClusterPlan]) -> Iterator[str]:
    for plan in _one_of_each(plans, _namespace):
        api = connect(_endpoint(plan.settings))
        _delete_all(api, plan.study, plan.settings)
        yield f"{api.host}: nothing of {plan.study!r} is left in namespace {_namespace(plan)}"


def _remove_strategies(plans: Sequence[ClusterPlan]) -> Iterator[str]:
    """Take away what strategies install; a killed runner may have left it on the nodes."""
    for plan in _one_of_each(plans, lambda plan: plan.strategy):
        strategy = load_strategy(plan.strategy)
        if strategy.install:
            api = connect(_endpoint(plan.settings))
            remove_strategy(api, strategy, _namespace(plan), read_options(plan.settings))
            yield f"{api.host}: what strategy {plan.strategy!r} installs is taken away"


def _one_of_each(
    plans: Sequence[ClusterPlan], name: Callable[[ClusterPlan], str]
) -> Collection[ClusterPlan]:
    """Return the first plan of each name in each cluster that is there."""
    found: dict[tuple[str | None, str], ClusterPlan] = {}
    for plan in plans:
        found.setdefault((_endpoint(plan.settings), name(plan)), plan)
    return found.values()


def _namespace(plan: ClusterPlan) -> str:
    return namespace_of(plan.study, read_options(plan.settings))


def _inspect(clusters: Sequence[ClusterPlan]) -> list[Findings]:
    """Look at the clusters that are there."""
    found = []
    for plan in clusters:
        options = read_options(plan.settings)
        if not options.cluster:
            api = connect(_endpoint(plan.settings))
            found.append(inspect_cluster(api, plan, options, load_strategy(plan.strategy)))
    return found


def _estimate(study: PullStudy, clusters: Sequence[ClusterPlan]) -> list[Estimate]:
    return [
        estimate_cluster(plan, study.repetitions, read_options(plan.settings)) for plan in clusters
    ]


def _endpoint(run: Run) -> str | None:
    return run.endpoints[0] if run.endpoints else None


def _delete_all(api: Api, study: str, run: Run) -> None:
    """Delete the namespace; in one that is the user's, what owns all that was made there."""
    options = read_options(run)
    owner = make_owner(study, options)
    whole = make_namespace(study, options) if options.namespace is None else owner
    api.delete(owner)
    api.delete(whole)
    wait_gone(api, whole, _GONE_SECONDS)
