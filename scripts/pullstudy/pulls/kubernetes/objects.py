"""The objects that a pull run makes in a cluster, as manifests.

Everything is in one namespace and owned by one ConfigMap there: whoever deletes that deletes all.
Labels: Kubernetes' recommended ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pullstudy.pulls.backend import ClusterPlan, Trial
from pullstudy.pulls.kubernetes.cleaning import HOST, IDLE
from pullstudy.pulls.kubernetes.options import Options, namespace_of
from pullstudy.pulls.kubernetes.rollout import JOB_LABEL
from pullstudy.pulls.kubernetes.strategies import Strategy

Manifest = dict[str, Any]

MANAGED = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
COMPONENT = "app.kubernetes.io/component"
OWNER_NAME = "pullstudy"
HOSTNAME = "kubernetes.io/hostname"
CONTAINER = "pulled"
PREPULLED = "prepulled"
# Space for the index and the random part of a pod's name.
_UNLIMITED = 2**31 - 1
_KEEP_SECONDS = 600
_SPARE_SECONDS = 120
_SMALL = {"requests": {"cpu": "10m", "memory": "16Mi"}}


def make_labels(study: str, component: str) -> dict[str, str]:
    """Return the labels of everything that a study makes."""
    return {MANAGED: "pullstudy", PART_OF: study, COMPONENT: component}


def make_namespace(study: str, options: Options) -> Manifest:
    """Return a namespace of the study's own; the cleaning may reach into its nodes."""
    labels = make_labels(study, "namespace")
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace_of(study, options),
            "labels": labels | {"pod-security.kubernetes.io/enforce": "privileged"},
        },
    }


def make_owner(study: str, options: Options) -> Manifest:
    """Return the object that owns all others."""
    metadata = {
        "name": OWNER_NAME,
        "namespace": namespace_of(study, options),
        "labels": make_labels(study, "owner"),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def refer_to(owner: Mapping[str, Any]) -> list[Manifest]:
    """Return the owner references of what belongs to an object."""
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"].get("uid", ""),
        }
    ]


def name_job(trial: Trial, token: str) -> str:
    """Name a trial's job; token: of this process, so that no event of an earlier one is taken."""
    return f"pull-{hashlib.sha256(trial.key.encode()).hexdigest()[:10]}-{token}"


def make_job(
    trial: Trial,
    name: str,
    nodes: Sequence[str],
    options: Options,
    strategy: Strategy,
    owner: Mapping[str, Any],
) -> Manifest:
    """Return the job that lets each node pull the image once, all at the same time.

    nodes: their host names. A pod that fails is not made again: it would find the image there.
    """
    plan = trial.cluster
    labels = make_labels(plan.study, "pull")
    timeout = plan.settings.limits.timeout_seconds
    spec = {
        "completionMode": "Indexed",
        "completions": len(nodes),
        "parallelism": len(nodes),
        "backoffLimit": _UNLIMITED,
        "backoffLimitPerIndex": 0,
        # A runner that was killed leaves nothing that runs for ever.
        "activeDeadlineSeconds": int(timeout) + _SPARE_SECONDS,
        "ttlSecondsAfterFinished": _KEEP_SECONDS,
        "template": {
            "metadata": {"labels": labels | {JOB_LABEL: name}},
            "spec": _make_pod(trial, name, nodes, options, strategy),
        },
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace_of(plan.study, options),
            "labels": labels,
            "ownerReferences": refer_to(owner),
        },
        "spec": spec,
    }


def make_cleaner(plan: ClusterPlan, options: Options, owner: Mapping[str, Any]) -> Manifest:
    """Return the DaemonSet whose pods take images away from their nodes."""
    container = {
        "name": "cleaner",
        "image": options.cleaner_image,
        "command": ["/bin/sh", "-c", IDLE],
        "resources": _SMALL,
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "host", "mountPath": HOST}],
    }
    pod = _make_small_pod(options) | {
        "containers": [container],
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }
    return _make_daemon_set("pullstudy-cleaner", plan, options, owner, pod)


def make_prepuller(
    plan: ClusterPlan, options: Options, owner: Mapping[str, Any], reference: str
) -> Manifest:
    """Return the DaemonSet that has each node pull an image; its init container need not work."""
    pod = _make_small_pod(options) | {
        "initContainers": [{"name": PREPULLED, "image": reference, "resources": _SMALL}],
        "containers": [
            {
                "name": "idle",
                "image": options.cleaner_image,
                "command": ["/bin/sh", "-c", IDLE],
                "resources": _SMALL,
            }
        ],
    }
    return _make_daemon_set("pullstudy-prepull", plan, options, owner, pod)


def _make_pod(
    trial: Trial, job: str, nodes: Sequence[str], options: Options, strategy: Strategy
) -> Manifest:
    container: Manifest = {
        "name": CONTAINER,
        "image": strategy.name_image(trial.image.reference),
        "imagePullPolicy": "IfNotPresent",
        "resources": _SMALL,
    }
    if options.command:
        container["command"] = list(options.command)
    if options.probe:
        probe = {"exec": {"command": list(options.probe)}, "periodSeconds": 1}
        container["readinessProbe"] = probe | {"timeoutSeconds": 5, "failureThreshold": _UNLIMITED}
    if strategy.mounts:
        container["volumeMounts"] = list(strategy.mounts)
    mine = {"matchLabels": {JOB_LABEL: job}}
    where = {"key": HOSTNAME, "operator": "In", "values": sorted(nodes)}
    pod = _make_small_pod(options) | {
        "restartPolicy": "Never",
        "containers": [container],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [where]}]
                }
            },
            # Exactly one on each: without it a node may get two pods and another one none.
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": mine, "topologyKey": HOSTNAME}
                ]
            },
        },
    }
    return pod | dict(strategy.pod)


def _make_small_pod(options: Options) -> Manifest:
    """Return what all pods have in common: they end soon and know nothing of the cluster.

    With no time at all to end, the API server would forget a pod before its node has.
    """
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
    }
    if options.node_selector:
        pod["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        pod["tolerations"] = [dict(each) for each in options.tolerations]
    if options.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
    return pod


def _make_daemon_set(
    name: str, plan: ClusterPlan, options: Options, owner: Mapping[str, Any], pod: Manifest
) -> Manifest:
    labels = make_labels(plan.study, name)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": name,
            "namespace": namespace_of(plan.study, options),
            "labels": labels,
            "ownerReferences": refer_to(owner),
        },
        "spec": {
            "selector": {"matchLabels": {COMPONENT: name}},
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
