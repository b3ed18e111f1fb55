"""What a backend of pull runs is: it opens clusters, and lets all their nodes pull an image.

A backend is a module `pulls/<name>.py` with a class that keeps `Backend`, named in
`pulls/backends.py`. It makes the pulls and the rows they give; order, repetitions, the journal,
resuming and the tables are the runner's (`pulls/measure.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import msgspec

from pullstudy.pulls.images import PulledImage
from pullstudy.pulls.record import Job, Node, Pull, PullLayer, registry_of
from pullstudy.pulls.study import PullStudy, Run

PULLED, NOT_STARTED, FAILED = "pulled", "not_started", "failed"
# Outcomes of pulls whose image arrived.
ARRIVED = (PULLED, NOT_STARTED)


class ClusterPlan(msgspec.Struct, frozen=True):
    """One cluster of a study: `run` names the rows, `settings` says what is the same in them.

    mirror: base URL that nodes ask instead of the registry in a reference. left: names of
    images that a killed run of the study may have left on the nodes.
    """

    study: str
    run: str
    settings: Run
    strategy: str
    size: int
    mirror: str | None = None
    left: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """Name the cluster: `run1/4`."""
        return f"{self.run}/{self.size}"

    def common(self) -> dict[str, Any]:
        """Return what every row of the cluster begins with."""
        return {
            "study": self.study,
            "run": self.run,
            "strategy": self.strategy,
            "platform": self.settings.machine,
            "cluster_size": self.size,
        }


class Trial(msgspec.Struct, frozen=True):
    """All nodes of a cluster pull one image at the same time, for the `attempt`-th time."""

    cluster: ClusterPlan
    image: PulledImage
    attempt: int

    @property
    def key(self) -> str:
        """Name the trial: `run1/4/ghcr.io/a/b:c/1`."""
        return f"{self.cluster.key}/{self.image.reference}/{self.attempt}"

    def pull_row(self, node: str, outcome: str, **columns: Any) -> Pull:
        """Make a row of `pulls` of this trial's image; columns: what the backend measured."""
        known = {
            "image": self.image.reference,
            "registry": registry_of(self.image.reference),
            "layers": self.image.layers,
            "nominal_bytes": self.image.nominal_bytes,
            "uncompressed_bytes": self.image.uncompressed_bytes,
            "attempt": self.attempt,
            "job": self.key,
        }
        return Pull(**self.cluster.common(), **(known | columns), node=node, outcome=outcome)

    def layer_row(self, node: str, **columns: Any) -> PullLayer:
        """Make a row of `pull_layers`."""
        return PullLayer(
            **self.cluster.common(),
            node=node,
            image=self.image.reference,
            attempt=self.attempt,
            **columns,
        )


class TrialResult(msgspec.Struct):
    """What a trial gave; dropped: (what, reason, detail, count) of what no row stands for."""

    pulls: list[Pull]
    job: Job | None = None
    layers: list[PullLayer] = []
    dropped: list[tuple[str, str, str | None, int]] = []


class OpenCluster(Protocol):
    """A cluster whose nodes are ready to pull."""

    def describe(self) -> list[Node]:
        """Return a row of `nodes` for each node; `pulls` is filled in later."""

    def pull(self, trial: Trial) -> TrialResult:
        """Let all nodes pull the trial's image, which none of them has, and wait for the last.

        Afterwards no node has it. A pull that fails is a row with its error; raises PullError
        when the machinery is at fault: nothing of the trial is kept then.
        """


class Backend(Protocol):
    """One way to pull."""

    @property
    def name(self) -> str:
        """What `--backend` calls it."""

    @property
    def strategies(self) -> Collection[str]:
        """Names of the ways in which its nodes can get an image."""

    def check(self, study: PullStudy) -> None:
        """Raise PullStudyError, naming the key, for what this backend cannot do."""

    def open(self, plan: ClusterPlan) -> AbstractContextManager[OpenCluster]:
        """Make or find the nodes of a cluster, and leave nothing behind. Raises PullError."""


@runtime_checkable
class CleanableBackend(Backend, Protocol):
    """A backend that may leave something behind when it is killed."""

    def clean(self, study: PullStudy) -> Iterable[str]:
        """Delete what a study has left; yields, line by line, what. Raises PullstudyError."""


@runtime_checkable
class PaidBackend(CleanableBackend, Protocol):
    """A backend whose nodes cost money.

    has_assent: the user accepts what the study is estimated to cost.
    """

    has_assent: bool

    def preview(self, study: PullStudy) -> Iterable[str]:
        """Yield, line by line, the plan and what would be made. Raises PullstudyError."""


def job_of(trial: Trial, pulls: list[Pull], begun_us: int, ended_us: int) -> Job:
    """Make the row of `jobs` of a trial: it ends when the last node is done."""
    outcomes = Counter(pull.outcome for pull in pulls)
    return Job(
        **trial.cluster.common(),
        job=trial.key,
        name=trial.image.reference.rpartition("/")[2],
        image=trial.image.reference,
        nodes=len({pull.node for pull in pulls}),
        created_at_utc=begun_us,
        completed_at_utc=ended_us,
        seconds=(ended_us - begun_us) / 1e6,
        outcome="failed" if outcomes[FAILED] or outcomes[NOT_STARTED] else "completed",
    )


def now_us() -> int:
    """Return microseconds since 1970, UTC."""
    return time.time_ns() // 1000
