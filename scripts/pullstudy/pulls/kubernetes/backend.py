"""Backend `kubernetes`: the nodes of a cluster pull, by one indexed job for each trial.

Which cluster: key `endpoints`, a kubeconfig or a context of the default one; without it the
current context, or the cluster that the runner is a pod of. What else it understands: `options`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import yaml

from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.kubernetes.cluster import (
    KubernetesCluster,
    list_manifests,
    prepare_namespace,
    remove_leftovers,
)
from pullstudy.pulls.kubernetes.connect import Api, connect
from pullstudy.pulls.kubernetes.estimate import check_limits, describe_estimates, estimate_cluster
from pullstudy.pulls.kubernetes.install import install_strategy
from pullstudy.pulls.kubernetes.objects import make_namespace, make_owner
from pullstudy.pulls.kubernetes.options import check_options, namespace_of, read_options
from pullstudy.pulls.kubernetes.preflight import Findings, inspect_cluster, refuse
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
        if not self.has_assent:
            clusters = plan_clusters(study)
            options = [read_options(plan.settings) for plan in clusters]
            estimates = [
                estimate_cluster(plan, study.repetitions, each)
                for plan, each in zip(clusters, options, strict=True)
            ]
            check_limits(estimates, options)
        self.findings = self._inspect(study)
        refuse(self.findings)

    @contextlib.contextmanager
    def open(self, plan: ClusterPlan) -> Iterator[KubernetesCluster]:
        """Make a namespace, install what the strategy needs, and take both away again."""
        options, strategy = read_options(plan.settings), load_strategy(plan.strategy)
        api = _connect(plan.settings)
        try:
            owner = prepare_namespace(api, plan, options)
            remove_leftovers(api, owner, _GONE_SECONDS)
            with (
                install_strategy(api, strategy, options),
                KubernetesCluster(api, plan, options, strategy, owner).run() as cluster,
            ):
                yield cluster
        finally:
            _delete_all(api, plan.study, plan.settings)

    def preview(self, study: PullStudy) -> Iterator[str]:
        """Yield the plan with its estimate, what the preflight finds, and the manifests."""
        check_options(study)
        clusters = plan_clusters(study)
        options = {plan.key: read_options(plan.settings) for plan in clusters}
        estimates = [
            estimate_cluster(plan, study.repetitions, options[plan.key]) for plan in clusters
        ]
        yield from (f"# {line}" for line in describe_estimates(estimates))
        for findings in self._inspect(study):
            yield from (f"# problem: {text}" for text in findings.problems)
            yield from (f"# note: {text}" for text in findings.notes)
        for plan in clusters:
            trials = plan_trials(plan, study)
            strategy = load_strategy(plan.strategy)
            yield f"# {plan.key}: {len(trials)} jobs like the last one"
            for manifest in list_manifests(plan, options[plan.key], strategy, trials[:1]):
                yield f"---\n{yaml.safe_dump(manifest, sort_keys=False).rstrip()}"

    def clean(self, study: PullStudy) -> Iterator[str]:
        """Delete what a study has left in its clusters; yields what is gone."""
        seen = set()
        for run in study.runs:
            key = (run.endpoints, namespace_of(study.name, read_options(run)))
            if key not in seen:
                seen.add(key)
                api = _connect(run)
                _delete_all(api, study.name, run)
                yield f"{api.host}: nothing of {study.name!r} is left in namespace {key[1]}"

    def _inspect(self, study: PullStudy) -> list[Findings]:
        return [
            inspect_cluster(
                _connect(plan.settings),
                plan,
                read_options(plan.settings),
                load_strategy(plan.strategy),
            )
            for plan in plan_clusters(study)
        ]


def _connect(run: Run) -> Api:
    return connect(run.endpoints[0] if run.endpoints else None)


def _delete_all(api: Api, study: str, run: Run) -> None:
    """Delete the namespace; in one that is the user's, what owns all that was made there."""
    options = read_options(run)
    owner = make_owner(study, options)
    whole = make_namespace(study, options) if options.namespace is None else owner
    api.delete(owner)
    api.delete(whole)
    wait_gone(api, whole, _GONE_SECONDS)
