"""Read `kubectl get nodes -o json` into rows of `nodes`.

What cluster a node belongs to stands in the file's path; what it is stands in its labels, those
that Kubernetes defines and those of GKE, EKS and AKS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from pullstudy.pulls.documents import Document
from pullstudy.pulls.events import Labels, parse_time
from pullstudy.pulls.record import Cluster, Node, Tally

# k8s.io/apimachinery, pkg/api/resource: suffixes of quantities.
_SUFFIX_FACTORS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
}
_match_quantity = re.compile(r"([0-9.]+)([A-Za-z]*)").fullmatch


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    name: str
    creation_timestamp: str | None = None
    labels: Labels = msgspec.field(default_factory=Labels)


class _Spec(msgspec.Struct, gc=False):
    providerID: str | None = None  # noqa: N815 (the field's name in JSON)


class _Capacity(msgspec.Struct, gc=False):
    cpu: str | None = None
    memory: str | None = None
    storage: str | None = msgspec.field(name="ephemeral-storage", default=None)


class _NodeInfo(msgspec.Struct, gc=False, rename="camel"):
    kernel_version: str | None = None
    os_image: str | None = None
    kubelet_version: str | None = None
    container_runtime_version: str | None = None


class _Status(msgspec.Struct, gc=False, rename="camel"):
    capacity: _Capacity = msgspec.field(default_factory=_Capacity)
    node_info: _NodeInfo = msgspec.field(default_factory=_NodeInfo)


class _Node(msgspec.Struct, gc=False):
    metadata: _Metadata
    kind: str | None = None
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


_decode_node = msgspec.json.Decoder(_Node).decode


def read_nodes(documents: Iterable[Document], cluster: Cluster, tally: Tally) -> list[Node]:
    """Return the nodes of a list; items that are no nodes are counted in `tally`."""
    rows = []
    for item in documents:
        try:
            rows.append(_row(cluster, _decode_node(item)))
        except msgspec.DecodeError:
            tally["node", "not_a_node", None] += 1
    return rows


def describe_by_labels(cluster: Cluster, name: str, labels: Labels | None) -> Node:
    """Return the row of a node that no list describes, from the labels in an event, if any."""
    row = Node(study=cluster.study, run=cluster.run, cluster_size=cluster.cluster_size, node=name)
    if labels is not None:
        _apply_labels(row, labels, labels.provider)
    return row


def _row(cluster: Cluster, node: _Node) -> Node:
    capacity, info = node.status.capacity, node.status.node_info
    created = node.metadata.creation_timestamp
    row = Node(
        study=cluster.study,
        run=cluster.run,
        cluster_size=cluster.cluster_size,
        node=node.metadata.name,
        cpus=read_quantity(capacity.cpu),
        memory_bytes=read_quantity(capacity.memory),
        storage_bytes=read_quantity(capacity.storage),
        kernel=info.kernel_version,
        os_image=info.os_image,
        kubelet=info.kubelet_version,
        container_runtime=info.container_runtime_version,
        created_at_utc=None if created is None else parse_time(created),
    )
    provider = (node.spec.providerID or "").partition("://")[0]
    labels = node.metadata.labels
    _apply_labels(row, labels, provider or labels.provider)
    return row


def _apply_labels(row: Node, labels: Labels, provider: str | None) -> None:
    row.instance_type, row.region, row.zone = labels.instance_type, labels.region, labels.zone
    row.boot_disk = labels.boot_disk
    row.platform = "/".join(part for part in (provider, labels.instance_type) if part) or None
    if provider != "gce":
        return  # Only GKE says by label how images reach a node.
    row.has_local_ssd = labels.local_ssd == "true"
    row.has_streaming = labels.streaming == "true"
    row.strategy = (
        "streaming" if row.has_streaming else "local_ssd" if row.has_local_ssd else "plain"
    )


def read_quantity(text: str | None) -> int | None:
    """Read a Kubernetes quantity (`61727200Ki`, `8`, `7910m`), rounded down; None: unreadable."""
    match = None if text is None else _match_quantity(text)
    if match is None or match[2] not in _SUFFIX_FACTORS:
        return None
    return int(float(match[1]) * _SUFFIX_FACTORS[match[2]])
