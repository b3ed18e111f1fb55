"""Run a pull study: every image on every cluster, in an order drawn with the study's seed.

What was measured stands in a journal in the output folder, trial by trial: a run that was stopped
goes on where it was, and gives the rows that an uninterrupted one would.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec

from pullstudy.naming import parse_reference
from pullstudy.pulls.backend import ARRIVED, PULLED, Backend, ClusterPlan, Trial, TrialResult
from pullstudy.pulls.endpoints import name_for_engine
from pullstudy.pulls.images import describe_images
from pullstudy.pulls.journal import PullJournal
from pullstudy.pulls.machine import this_machine
from pullstudy.pulls.record import Node, PullWriter, Tally, registry_of
from pullstudy.pulls.study import PullStudy, PullStudyError, Run, load_pull_study
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import parse_platform
from pullstudy.registry.server import serve_layout
from pullstudy.registry.session import choose_base_url

JOURNAL = "journal.jsonl"


class Reporter:
    """Is told how a pull study goes; this one says nothing of it."""

    def begin(self, trials: int, done: int) -> None:
        """So many trials make the study; so many of them were done before."""

    def start(self, trial: Trial) -> None:
        """The nodes begin to pull."""

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """All nodes are done."""

    def warn(self, text: str) -> None:
        """Something was left out that the user may want to know of."""


@dataclass(frozen=True)
class Measured:
    """What there is when a study is complete; done_before: trials of earlier runs."""

    pulls: int
    failed: int
    trials: int
    done_before: int


def measure(
    path: Path,
    backend: Backend,
    out: Path,
    reporter: Reporter,
    files: Mapping[str, Path] = MappingProxyType({}),
) -> Measured:
    """Pull what a study file says and write the tables of pull runs into `out`.

    files: what the study may name by a word, see `load_pull_study`.
    Raises PullstudyError; what was measured until then is kept, and the next call goes on.
    """
    study = load_pull_study(path, files)
    check_strategies(study, backend)
    backend.check(study)
    clusters = plan_clusters(study)
    with PullJournal(out / JOURNAL) as journal:
        for run in study.runs:
            journal.settle(run.name, _digest_settings(run, backend.name))
        trials = {plan.key: plan_trials(plan, study) for plan in clusters}
        wanted = [trial.key for planned in trials.values() for trial in planned]
        done = sum(key in journal.results for key in wanted)
        reporter.begin(len(wanted), done)
        for plan in clusters:
            pending = [trial for trial in trials[plan.key] if trial.key not in journal.results]
            if pending:
                _measure_cluster(plan, pending, backend, journal, reporter)
        pulls = write_tables(journal, set(wanted), study, out)
    failed = sum(outcome != PULLED for outcome in pulls)
    return Measured(len(pulls), failed, len(wanted), done)


def check_strategies(study: PullStudy, backend: Backend) -> None:
    """Raise PullStudyError when a backend does not know a strategy of the study."""
    for run in study.runs:
        for strategy in run.strategies:
            if strategy not in backend.strategies:
                raise PullStudyError(
                    f"key 'strategies': backend {backend.name} has no {strategy!r}; "
                    f"choose of {', '.join(sorted(backend.strategies))}"
                )


def plan_clusters(study: PullStudy) -> list[ClusterPlan]:
    """Return the clusters of a study in the order drawn for them."""
    clusters = [
        ClusterPlan(
            study=study.name,
            # Runs are compared with each other, so that one of them has one strategy.
            run=run.name if len(run.strategies) == 1 else f"{run.name}-{strategy}",
            settings=run if run.machine else msgspec.structs.replace(run, machine=this_machine()),
            strategy=strategy,
            size=size,
        )
        for run in study.runs
        for strategy in run.strategies
        for size in run.cluster_sizes
    ]
    random.Random(f"{study.seed}/clusters").shuffle(clusters)
    return clusters


def plan_trials(plan: ClusterPlan, study: PullStudy) -> list[Trial]:
    """Return the trials of a cluster: all images in a new order for each repetition.

    Whatever drifts meanwhile (caches, neighbours, temperature) falls on all images alike.
    """
    draw = random.Random(f"{study.seed}/{plan.key}")
    trials: list[Trial] = []
    for attempt in range(1, study.repetitions + 1):
        images = list(plan.settings.images)
        draw.shuffle(images)
        trials += (Trial(plan, image, attempt) for image in images)
    return trials


def _measure_cluster(
    plan: ClusterPlan,
    trials: Sequence[Trial],
    backend: Backend,
    journal: PullJournal,
    reporter: Reporter,
) -> None:
    with _serve(plan.settings) as mirror:
        plan = msgspec.structs.replace(plan, mirror=mirror, left=journal.left)
        _describe(plan, journal, reporter)
        with backend.open(plan) as cluster:
            journal.open(plan.key, cluster.describe())
            for trial in trials:
                trial = msgspec.structs.replace(trial, cluster=plan)
                reporter.start(trial)
                journal.begin(trial.key, name_for_engine(trial))
                result = cluster.pull(trial)
                journal.finish(trial.key, result)
                reporter.finish(trial, result)


@contextlib.contextmanager
def _serve(run: Run) -> Iterator[str | None]:
    """Serve the run's own images, if it has any; gives the mirror that nodes are to ask."""
    if run.registry.serve is None:
        yield run.registry.mirror
        return
    # `pullstudy craft --output oci:DIR` writes tags without their repository.
    names = {parse_reference(image.reference).repository for image in run.images}
    repository = names.pop() if len(names) == 1 else None
    with serve_layout(Path(run.registry.serve), repository=repository) as address:
        yield f"http://{address}"


def _describe(plan: ClusterPlan, journal: PullJournal, reporter: Reporter) -> None:
    """Read the manifests of the run's images, unless that was done."""
    run = plan.settings
    known = {row.image for row in journal.images.get(run.name, ())}
    if known >= {image.reference for image in run.images}:
        return
    if plan.mirror:
        endpoints = {"*": plan.mirror}
    else:
        registries = {r for r in map(registry_of, (i.reference for i in run.images)) if r}
        plain = run.registry.plain_http
        endpoints = {name: choose_base_url(name, plain_http=plain) for name in registries}
    settings = HarvestSettings(endpoints=endpoints, attempts=run.limits.attempts)
    rows, unread = describe_images(plan.study, run.images, settings, parse_platform(run.platform))
    for failure in unread:
        reporter.warn(f"{failure.where}: {failure.detail}; its sizes stay unknown")
    journal.describe(run.name, rows)


def write_tables(journal: PullJournal, wanted: set[str], study: PullStudy, out: Path) -> list[str]:
    """Write the tables of what was measured; returns the outcome of each pull."""
    images = {row.image: row for rows in journal.images.values() for row in rows}
    results = {key: journal.results[key] for key in sorted(wanted)}
    pulled: Counter[tuple[str, str]] = Counter()
    outcomes: list[str] = []
    tally: Tally = Counter()
    with PullWriter(out) as writer:
        for result in results.values():
            for pull in result.pulls:
                if pull.compressed_bytes is None and pull.image in images:
                    pull.compressed_bytes = images[pull.image].compressed_bytes
                pulled[f"{pull.run}/{pull.cluster_size}", pull.node] += pull.outcome in ARRIVED
                outcomes.append(pull.outcome)
            writer.write_pulls(result.pulls)
            writer.write_layers(result.layers)
            writer.write_jobs([result.job] if result.job else [])
            for what, reason, detail, count in result.dropped:
                tally[what, reason, detail] += count
        writer.write_nodes(list(_count_pulls(journal, pulled)))
        writer.write_images([images[name] for name in sorted(images)])
        for trial, count in journal.interrupted.items():
            tally["trial", "interrupted", trial] += count
        writer.write_dropped(study.name, JOURNAL, tally)
    return outcomes


def _count_pulls(journal: PullJournal, pulled: Counter[tuple[str, str]]) -> Iterator[Node]:
    for cluster, nodes in sorted(journal.nodes.items()):
        for name in sorted(nodes):
            yield msgspec.structs.replace(nodes[name], pulls=pulled[cluster, name])


def _digest_settings(run: Run, backend: str) -> str:
    """Digest what pulls of a run have in common; more images and nodes may join them later."""
    settings = msgspec.structs.replace(run, images=(), cluster_sizes=(), strategies=())
    # Where the served images lie changes nothing.
    registry = msgspec.structs.replace(run.registry, serve=run.registry.serve and "here")
    settings = msgspec.structs.replace(settings, registry=registry)
    content = msgspec.json.encode((backend, settings), order="sorted")
    return hashlib.sha256(content).hexdigest()
