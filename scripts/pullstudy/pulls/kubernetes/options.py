"""What the backend `kubernetes` understands of a study: key `options`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pullstudy.pulls.study import PullStudy, PullStudyError, Run

_match_label = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one run.

    namespace: where everything is made; None: one of the study's own, which is deleted afterwards.
    cluster: recipe (`kind`) and variables of clusters that are made for the study; empty: they are
    there.
    node_selector, tolerations: which nodes take part. pull_secrets: names of secrets in the
    namespace with credentials of registries; what a strategy installs gets a copy. wait: a node is
    done when its image is pulled, when the container is ready, or when it has ended by itself.
    command: instead of the image's own. probe: command that tells whether the container is ready,
    run in it every second; without it a container is ready when it has started.
    pull_attempts: of a node, until the failure counts;
    the kubelet makes them. clean: how a node loses an image again: by a DaemonSet with access to
    the node's containerd, or not at all, because every image is pulled once (`unique`).
    snapshotter_image: of `resources/kubernetes/snapshotter`, for strategies that install one.
    price_per_node_hour, price_limit: in one currency; node_hours_limit: a study that is estimated
    to need more is refused unless the user has said yes. start_seconds, overhead_seconds,
    pull_mb_per_second: what the estimate takes for a cluster that is made, for a trial beside its
    pull, and for what a node pulls in a second.
    """

    namespace: str | None = None
    cluster: Mapping[str, str] = {}
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Mapping[str, Any], ...] = ()
    pull_secrets: tuple[str, ...] = ()
    wait: Literal["pulled", "ready", "completed"] = "ready"
    command: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    pull_attempts: int = 1
    clean: Literal["daemonset", "unique"] = "daemonset"
    snapshotter_image: str | None = None
    cleaner_image: str = "docker.io/library/busybox:1.36"
    containerd_socket: str = "/run/containerd/containerd.sock"
    price_per_node_hour: float | None = None
    price_limit: float | None = None
    node_hours_limit: float = 100.0
    start_seconds: float = 300.0
    overhead_seconds: float = 5.0
    pull_mb_per_second: float = 50.0


def read_options(run: Run) -> Options:
    """Read the options of a run. Raises PullStudyError with the key."""
    try:
        options = msgspec.convert(dict(run.options), Options)
    except msgspec.ValidationError as exc:
        text, _, where = str(exc).partition(" - at `$")
        key = f"options{where.rstrip('`')}"
        raise PullStudyError(f"key {key!r} of run {run.name!r}: {text}") from exc
    if options.namespace is not None and not _match_label(options.namespace):
        raise PullStudyError(f"key 'options.namespace': {options.namespace!r} is no namespace")
    if options.pull_attempts < 1:
        raise PullStudyError("key 'options.pull_attempts': at least 1")
    return options


def check_options(study: PullStudy) -> None:
    """Raise PullStudyError for what cannot be done on Kubernetes."""
    for run in study.runs:
        options = read_options(run)
        if run.registry.mirror or run.registry.serve:
            key = "mirror" if run.registry.mirror else "serve"
            raise PullStudyError(
                f"key 'registry.{key}': nodes of a cluster have their own settings for mirrors; "
                "name the registry in the images"
            )
        if run.registry.latency_seconds:
            raise PullStudyError("key 'registry.latency_seconds': backend kubernetes cannot add it")
        limits = run.limits
        if (
            limits.bandwidth_mbit_per_second
            or limits.disk_mb_per_second
            or limits.disk_operations_per_second
        ):
            raise PullStudyError("key 'limits': backend kubernetes cannot limit network or disk")
        if options.clean == "unique" and study.repetitions > 1:
            raise PullStudyError(
                "key 'options.clean': with 'unique' an image stays on its nodes; "
                "set repetitions to 1, or clean to 'daemonset'"
            )
        if len(run.endpoints) > 1:
            raise PullStudyError("key 'endpoints': one context of the kubeconfig per run")
        if options.price_limit is not None and options.price_per_node_hour is None:
            raise PullStudyError("key 'options.price_limit': needs price_per_node_hour")


def namespace_of(study: str, options: Options) -> str:
    """Name the namespace of a study: a DNS label."""
    return options.namespace or f"pullstudy-{study.lower().replace('_', '-')}"[:63].rstrip("-")
