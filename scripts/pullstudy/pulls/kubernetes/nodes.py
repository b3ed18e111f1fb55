"""The nodes of a cluster: what they are, which of them take part, and what may spoil a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.kubernetes.book import Condition
from pullstudy.pulls.kubernetes.connect import Api, ClusterError
from pullstudy.pulls.nodes import read_quantity

_HOSTNAME = "kubernetes.io/hostname"
_STREAMING = "cloud.google.com/gke-image-streaming"


class _Metadata(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class _Taint(msgspec.Struct):
    key: str
    value: str = ""
    effect: str = ""


class _Spec(msgspec.Struct):
    unschedulable: bool = False
    taints: list[_Taint] = []


class _Status(msgspec.Struct):
    allocatable: dict[str, str] = {}
    conditions: list[Condition] = []


class _Node(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class NodeFacts(msgspec.Struct, frozen=True):
    """What the preflight looks at; why_not: None for a node that takes pods."""

    name: str
    hostname: str
    document: msgspec.Raw
    disk_bytes: int | None
    has_streaming: bool
    why_not: str | None


_decode_node = msgspec.json.Decoder(_Node).decode


def list_nodes(
    api: Api, selector: Mapping[str, str], tolerations: Sequence[Mapping[str, Any]] = ()
) -> list[NodeFacts]:
    """Return the nodes that have the labels, by name. Raises ClusterError."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    keywords = {"label_selector": labels} if labels else {}
    found = [_read(item, tolerations) for item in api.list(api.core.list_node, **keywords).items]
    return sorted(found, key=lambda facts: facts.name)


def choose_nodes(
    found: Sequence[NodeFacts], plan: ClusterPlan, selector: Mapping[str, str]
) -> list[NodeFacts]:
    """Return as many nodes as the cluster is to have. Raises ClusterError when there are fewer."""
    ready = [facts for facts in found if facts.why_not is None]
    if len(ready) < plan.size:
        wanted = ", ".join(f"{k}={v}" for k, v in selector.items())
        others = [f"{f.name} {f.why_not}" for f in found if f.why_not is not None]
        raise ClusterError(
            f"{plan.key}: needs {plan.size} nodes, the cluster has {len(ready)} that are ready"
            + (f" and have {wanted}" if wanted else "")
            + (f" ({'; '.join(others[:3])})" if others else "")
            + "; add nodes or lower `nodes` in the study"
        )
    return ready[: plan.size]


def _read(item: msgspec.Raw, tolerations: Sequence[Mapping[str, Any]]) -> NodeFacts:
    node = _decode_node(item)
    ready = next((c for c in node.status.conditions if c.type == "Ready"), None)
    taint = next((t for t in node.spec.taints if not _is_tolerated(t, tolerations)), None)
    why_not = None
    if node.spec.unschedulable:
        why_not = "is cordoned"
    elif ready is None or ready.status != "True":
        why_not = f"is not ready: {ready.reason if ready else 'no word of it yet'}"
    elif taint is not None:
        why_not = f"has the taint {taint.key}; see options.tolerations"
    return NodeFacts(
        name=node.metadata.name,
        hostname=node.metadata.labels.get(_HOSTNAME, node.metadata.name),
        document=msgspec.Raw(bytes(item)),
        disk_bytes=read_quantity(node.status.allocatable.get("ephemeral-storage")),
        has_streaming=node.metadata.labels.get(_STREAMING) == "true",
        why_not=why_not,
    )


def _is_tolerated(taint: _Taint, tolerations: Sequence[Mapping[str, Any]]) -> bool:
    """Tell as the scheduler does (kubernetes.io, "Taints and Tolerations")."""
    if taint.effect == "PreferNoSchedule":
        return True
    return any(
        toleration.get("key") in (None, taint.key)
        and toleration.get("effect") in (None, "", taint.effect)
        and (toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.value)
        for toleration in tolerations
    )
