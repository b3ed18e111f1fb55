"""Look at a cluster before anything is made in it: rights, nodes, disks, registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import requests
from kubernetes import client

from pullstudy.errors import PullError
from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.kubernetes.connect import Api, ClusterError
from pullstudy.pulls.kubernetes.nodes import NodeFacts, choose_nodes, list_nodes
from pullstudy.pulls.kubernetes.options import Options, namespace_of
from pullstudy.pulls.kubernetes.strategies import Strategy
from pullstudy.pulls.record import registry_of
from pullstudy.registry.session import choose_base_url

_REGISTRY_SECONDS = 10.0
# API group, resource, subresource, verbs.
_Right = tuple[str, str, str, tuple[str, ...]]
# All in the study's namespace.
_RIGHTS = (
    ("", "configmaps", "", ("create", "get", "delete")),
    ("batch", "jobs", "", ("create", "get", "delete")),
    ("", "pods", "", ("list", "watch")),
    ("", "events", "", ("list", "watch")),
)
_CLEANER_RIGHTS = (
    ("apps", "daemonsets", "", ("get", "patch", "delete")),
    # Web sockets begin with a GET; newer servers ask for create as well.
    ("", "pods", "exec", ("get", "create")),
)
# What a strategy installs gets a copy of the secrets.
_SECRET_RIGHTS = (("", "secrets", "", ("get",)),)
_NODE_RIGHTS = (("", "nodes", "", ("list", "watch")),)
_NAMESPACE_RIGHTS = (("", "namespaces", "", ("create", "get", "delete")),)


class Findings(msgspec.Struct):
    """What the preflight found; problems keep a study from being run, notes do not."""

    problems: list[str] = []
    notes: list[str] = []


def inspect_cluster(api: Api, plan: ClusterPlan, options: Options, strategy: Strategy) -> Findings:
    """Look at everything that a cluster of a study needs. Raises ClusterError."""
    findings = Findings()
    findings.problems += list_missing_rights(api, plan.study, options)
    if findings.problems:
        return findings
    selector = dict(options.node_selector) | dict(strategy.node_selector)
    found = list_nodes(api, selector, options.tolerations)
    try:
        nodes = choose_nodes(found, plan, selector)
    except ClusterError as exc:
        findings.problems.append(str(exc))
        return findings
    findings.problems += _check_disks(nodes, plan, options)
    findings.problems += _check_streaming(nodes, plan, strategy)
    findings.notes += _ask_registries(plan)
    findings.notes += _read_kubelet(api, nodes[0])
    return findings


def list_missing_rights(api: Api, study: str, options: Options) -> list[str]:
    """Say what the account may not do, though a study has to."""
    namespace = namespace_of(study, options)
    wanted: list[tuple[_Right, str]] = [(each, namespace) for each in _RIGHTS]
    if options.clean == "daemonset":
        wanted += [(each, namespace) for each in _CLEANER_RIGHTS]
    if options.pull_secrets and options.snapshotter_image:
        wanted += [(each, namespace) for each in _SECRET_RIGHTS]
    wanted += [(each, "") for each in _NODE_RIGHTS]
    if options.namespace is None:
        wanted += [(each, "") for each in _NAMESPACE_RIGHTS]
    missing = []
    for (group, resource, subresource, verbs), where in wanted:
        refused = [
            verb for verb in verbs if not _may(api, group, resource, subresource, verb, where)
        ]
        if refused:
            name = f"{resource}/{subresource}" if subresource else resource
            place = f" in namespace {where}" if where else ""
            missing.append(f"this account may not {', '.join(refused)} {name}{place}")
    return missing


def _may(api: Api, group: str, resource: str, subresource: str, verb: str, namespace: str) -> bool:
    attributes = client.V1ResourceAttributes(
        group=group, resource=resource, subresource=subresource, verb=verb, namespace=namespace
    )
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    reviews = client.AuthorizationV1Api(api.connection)
    answer = api.call(
        reviews.create_self_subject_access_review, client.V1SelfSubjectAccessReview(spec=spec)
    )
    return bool(answer.status.allowed)


def _check_disks(nodes: Sequence[NodeFacts], plan: ClusterPlan, options: Options) -> Iterator[str]:
    """Compare the disk of the smallest node with what an image takes, packed and unpacked."""
    needs = [
        (image.uncompressed_bytes or image.nominal_bytes or 0) + (image.nominal_bytes or 0)
        for image in plan.settings.images
    ]
    need = sum(needs) if options.clean == "unique" else max(needs)
    disks = {facts.name: facts.disk_bytes for facts in nodes if facts.disk_bytes is not None}
    if disks:
        smallest = min(disks, key=disks.__getitem__)
        if need > disks[smallest]:
            yield (
                f"{plan.key}: node {smallest} has {disks[smallest] / 1e9:.1f} GB for images, "
                f"the study needs {need / 1e9:.1f} GB; take larger disks or smaller images"
            )


def _check_streaming(
    nodes: Sequence[NodeFacts], plan: ClusterPlan, strategy: Strategy
) -> Iterator[str]:
    """Lazy pulling where none is asked for makes pulls look instant."""
    streaming = [facts.name for facts in nodes if facts.has_streaming]
    if streaming and not strategy.is_lazy:
        yield (
            f"{plan.key}: image streaming is on at {len(streaming)} nodes ({streaming[0]}), "
            f"strategy {plan.strategy!r} does not expect it; take other nodes or another strategy"
        )


def _ask_registries(plan: ClusterPlan) -> Iterator[str]:
    """Ask each registry from here; that nodes reach it is likely then, not certain."""
    references = (image.reference for image in plan.settings.images)
    for host in sorted({name for name in map(registry_of, references) if name}):
        base = choose_base_url(host, plain_http=plan.settings.registry.plain_http)
        try:
            answer = requests.get(f"{base}/v2/", timeout=_REGISTRY_SECONDS)
        except requests.RequestException as exc:
            yield f"registry {host} cannot be reached from here: {type(exc).__name__}"
        else:
            if answer.status_code not in (200, 401):
                yield f"registry {host} answers {answer.status_code} at /v2/"


def _read_kubelet(api: Api, node: NodeFacts) -> Iterator[str]:
    """Say whether a kubelet pulls images one after another, if the account may ask."""
    try:
        answer = api.call(
            api.core.connect_get_node_proxy_with_path, node.name, "configz", _preload_content=False
        )
        settings: Mapping[str, Any] = msgspec.json.decode(answer.data)["kubeletconfig"]
    except (ClusterError, msgspec.DecodeError, KeyError):
        yield f"node {node.name}: whether its kubelet pulls serially is not known"
        return
    if settings.get("serializeImagePulls", True):
        yield f"node {node.name}: its kubelet pulls serially: other pods can delay ours"


def refuse(findings: Sequence[Findings]) -> None:
    """Raise PullError when there are problems: all of them, each once, in one line."""
    problems = list(dict.fromkeys(text for each in findings for text in each.problems))
    if problems:
        raise PullError(f"preflight: {'; '.join(problems)}")
