"""Wait until what was applied is there, or what was deleted is gone."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import msgspec

from pullstudy.pulls.kubernetes.book import Pod
from pullstudy.pulls.kubernetes.connect import Api, ClusterError

_PAUSE_SECONDS = 0.25
# Kubernetes' own label for it has changed its name over time.
JOB_LABEL = "pullstudy-job"


class _PrepulledStatus(msgspec.Struct, rename="camel"):
    init_container_statuses: list[dict[str, Any]] = []


class _Prepulled(msgspec.Struct):
    status: _PrepulledStatus = msgspec.field(default_factory=_PrepulledStatus)


_decode_pod = msgspec.json.Decoder(Pod).decode
_decode_prepulled = msgspec.json.Decoder(_Prepulled).decode


def wait_for_daemon_set(
    api: Api,
    manifest: dict[str, Any],
    nodes: Collection[str],
    timeout_seconds: float,
    *,
    needs_only_image: bool = False,
) -> list[Pod]:
    """Wait for a pod on each node, and return them; needs_only_image: it need not be ready.

    Raises ClusterError with what the first missing one waits for.
    """
    metadata = manifest["metadata"]
    labels = manifest["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    end = time.monotonic() + timeout_seconds
    while True:
        listing = api.list(
            api.core.list_namespaced_pod, metadata["namespace"], label_selector=selector
        )
        found = {pod.spec.node_name: (pod, item) for pod, item in
                 ((_decode_pod(item), item) for item in listing.items)}  # fmt: skip
        ready = [
            pod
            for name, (pod, item) in found.items()
            if name in nodes and (pod.is_ready or (needs_only_image and _has_image(item)))
        ]
        if len(ready) == len(nodes):
            return ready
        if time.monotonic() > end:
            raise ClusterError(_explain(metadata["name"], set(nodes), found, ready))
        time.sleep(_PAUSE_SECONDS)


def wait_gone(api: Api, manifest: dict[str, Any], timeout_seconds: float) -> None:
    """Wait until an object is deleted. Raises ClusterError when it stays."""
    end = time.monotonic() + timeout_seconds
    while api.read(manifest) is not None:
        if time.monotonic() > end:
            named = f"{manifest['kind']} {manifest['metadata']['name']}"
            raise ClusterError(f"{api.host}: {named} does not go away; see its finalizers")
        time.sleep(_PAUSE_SECONDS)


def wait_for_no_pods(api: Api, namespace: str, job: str, timeout_seconds: float) -> None:
    """Wait until the nodes have ended all pods of a job, and so what these were pulling."""
    end = time.monotonic() + timeout_seconds
    selector = f"{JOB_LABEL}={job}"
    while api.list(api.core.list_namespaced_pod, namespace, label_selector=selector).items:
        if time.monotonic() > end:
            return  # Those of a lost node stay for minutes.
        time.sleep(_PAUSE_SECONDS)


def _has_image(item: msgspec.Raw) -> bool:
    statuses = _decode_prepulled(item).status.init_container_statuses
    return bool(statuses) and bool(statuses[0].get("imageID"))


def _explain(
    name: str, nodes: set[str], found: dict[str, tuple[Pod, Any]], ready: list[Pod]
) -> str:
    missing = sorted(nodes - {pod.spec.node_name for pod in ready})[0]
    pod = found[missing][0] if missing in found else None
    waiting = pod.container.waiting if pod else None
    why = f"{waiting.reason} {waiting.message}".strip() if waiting else "no pod there"
    return f"DaemonSet {name}: not ready on {len(nodes) - len(ready)} nodes ({missing}: {why})"
