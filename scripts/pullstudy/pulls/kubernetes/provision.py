"""Create the clusters of a study in a cloud, and delete them again, by the cloud's own command.

A recipe is a file in `resources/kubernetes/clusters`; key `options.cluster` of a study names it and
fills its variables. Without that key a cluster is there already.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pullstudy.errors import ConfigError, PullError
from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.strategies import RESOURCES
from pullstudy.schemas import read_yaml

_FOLDER = RESOURCES / "clusters"
# Of a cluster's name at GKE.
_NAME_LENGTH = 40


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How clusters of one kind are made; variables without a value must be given by the study."""

    description: str
    provider: str
    variables: Mapping[str, str | None]
    create: tuple[str, ...]
    credentials: tuple[str, ...]
    delete: tuple[str, ...]
    strategies: Mapping[str, str] = {}


class Commands(msgspec.Struct, frozen=True):
    """The commands of one cluster, with everything filled in."""

    create: list[list[str]]
    credentials: list[list[str]]
    delete: list[list[str]]

    def show(self) -> Iterator[str]:
        """Yield the commands as one would type them."""
        for command in (*self.create, *self.credentials, *self.delete):
            yield shlex.join(command)


def plan_commands(plan: ClusterPlan, options: Options, kubeconfig: str) -> Commands | None:
    """Fill in a cluster's commands; None: the cluster is there already. Raises ConfigError."""
    if not options.cluster:
        return None
    given = dict(options.cluster)
    recipe = _load(given.pop("kind", ""))
    if unknown := sorted(given.keys() - recipe.variables.keys()):
        known = ", ".join(recipe.variables)
        raise ConfigError(f"key 'options.cluster.{unknown[0]}': unknown; known keys: {known}")
    values = {key: given.get(key, value) for key, value in recipe.variables.items()}
    if missing := [key for key, value in values.items() if value is None]:
        raise ConfigError(f"key 'options.cluster.{missing[0]}' is missing")
    values |= {"name": name_cluster(plan), "nodes": str(plan.size), "kubeconfig": kubeconfig}
    more = shlex.split(recipe.strategies.get(plan.strategy, ""))

    def fill(commands: tuple[str, ...]) -> list[list[str]]:
        return [[word.format_map(values) for word in shlex.split(each)] for each in commands]

    create = fill(recipe.create)
    return Commands(
        [*create[:-1], create[-1] + more], fill(recipe.credentials), fill(recipe.delete)
    )


def name_cluster(plan: ClusterPlan) -> str:
    """Name a cluster so that the next run finds it, and no other study does."""
    digest = hashlib.sha256(f"{plan.study}/{plan.key}".encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", f"pullstudy-{plan.study}-{plan.run}-{plan.size}".lower())
    return f"{words[: _NAME_LENGTH - 9].rstrip('-')}-{digest}"


def check_commands(plan: ClusterPlan, options: Options) -> None:
    """Raise ConfigError when a cluster's commands cannot be run here."""
    commands = plan_commands(plan, options, "kubeconfig")
    if commands is not None and shutil.which(commands.create[0][0]) is None:
        raise ConfigError(
            f"key 'options.cluster': {commands.create[0][0]} is not installed; "
            "install it and log in, or create the cluster yourself"
        )


@contextlib.contextmanager
def provide_cluster(plan: ClusterPlan, options: Options) -> Iterator[str | None]:
    """Create a cluster unless it is there, and delete it at the end; gives its kubeconfig.

    Gives None when the study says that its cluster is there already. Raises PullError.
    """
    with tempfile.TemporaryDirectory(prefix="pullstudy-") as folder:
        kubeconfig = str(Path(folder) / "kubeconfig")
        commands = plan_commands(plan, options, kubeconfig)
        if commands is None:
            yield None
            return
        try:
            # That of a run that was stopped may still be there.
            if not all(_run(command, kubeconfig) is None for command in commands.credentials):
                for command in (*commands.create, *commands.credentials):
                    _require(command, kubeconfig)
            yield kubeconfig
        finally:
            for command in commands.delete:
                _require(command, kubeconfig)


def delete_cluster(plan: ClusterPlan, options: Options) -> bool:
    """Delete what a killed run has left; returns whether there was a cluster to delete."""
    with tempfile.TemporaryDirectory(prefix="pullstudy-") as folder:
        kubeconfig = str(Path(folder) / "kubeconfig")
        commands = plan_commands(plan, options, kubeconfig)
        if commands is None or any(_run(each, kubeconfig) for each in commands.credentials):
            return False
        for command in commands.delete:
            _require(command, kubeconfig)
        return True


def _load(kind: str) -> Recipe:
    path = _FOLDER / f"{kind}.yaml"
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in _FOLDER.glob("*.yaml")))
        raise ConfigError(f"key 'options.cluster.kind': {kind!r} is not one of {known}")
    try:
        return msgspec.convert(read_yaml(path), Recipe)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {exc}") from exc


def _require(command: list[str], kubeconfig: str) -> None:
    failure = _run(command, kubeconfig)
    if failure is not None:
        raise PullError(f"{shlex.join(command[:4])} …: {failure}; `--clean` deletes what is left")


def _run(command: list[str], kubeconfig: str) -> str | None:
    """Run a command; returns the last line of what it said when it failed."""
    done = subprocess.run(
        command,
        env=os.environ | {"KUBECONFIG": kubeconfig},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
