"""Engines that somebody else runs: how many there are, and by what name they pull an image."""

from __future__ import annotations

from urllib.parse import urlsplit

from pullstudy.naming import parse_reference
from pullstudy.pulls.backend import Trial
from pullstudy.pulls.study import PullStudyError, Run


def check_endpoints(run: Run, without: int) -> None:
    """Raise PullStudyError when a cluster has more nodes than engines; without: `endpoints`."""
    engines = len(run.endpoints) or without
    for size in run.cluster_sizes:
        if size > engines:
            raise PullStudyError(
                f"key 'nodes': {size} nodes but {engines} engines; name more in 'endpoints'"
            )


def name_for_engine(trial: Trial) -> str:
    """Return the name that an engine pulls by: at the mirror, if there is one."""
    reference = parse_reference(trial.image.reference)
    host = reference.registry
    if trial.cluster.mirror:
        host = urlsplit(trial.cluster.mirror).netloc
    if reference.digest:
        return f"{host}/{reference.repository}@{reference.digest}"
    return f"{host}/{reference.repository}:{reference.tag or 'latest'}"
