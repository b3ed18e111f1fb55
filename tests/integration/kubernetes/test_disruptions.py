"""Pods that others take away while they run: by an eviction, by a more important pod."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from pullstudy.pulls.kubernetes.connect import Api
from tests.cluster.images import push_busybox
from tests.cluster.lab import Lab
from tests.integration.kubernetes.test_pull_study import assert_clean, command, count_pulls, read

if TYPE_CHECKING:
    from tests.integration.kubernetes.conftest import WriteStudy

pytestmark = pytest.mark.integration

IMPORTANT = "important"
PULLING = "app.kubernetes.io/component=pull"
PRIORITY: dict[str, Any] = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": IMPORTANT},
    "value": 1_000_000,
}


@pytest.fixture
def priority(api: Api) -> Iterator[None]:
    api.create(PRIORITY)
    yield
    api.delete(PRIORITY)


def make_important(lab: Lab, node: str, namespace: str) -> dict[str, Any]:
    """A pod that does not bear ours on its node."""
    ours = {
        "labelSelector": {"matchLabels": dict([PULLING.split("=")])},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": IMPORTANT, "namespace": namespace},
        "spec": {
            "priorityClassName": IMPORTANT,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [{"name": "idle", "image": lab.busybox}],
            "affinity": {
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [ours]}
            },
        },
    }


def wait_for_running(lab: Lab, namespace: str) -> dict[str, str]:
    """Wait until the pods of a trial run on all nodes; returns their names by node."""
    end = time.monotonic() + 90
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={PULLING}"
    while time.monotonic() < end:
        pods = json.loads(lab.plane.ask(path))["items"]
        running = {
            pod["spec"]["nodeName"]: pod["metadata"]["name"]
            for pod in pods
            if pod["status"].get("phase") == "Running"
        }
        if len(running) == len(lab.nodes):
            return running
        time.sleep(0.2)
    pytest.fail("no trial runs on all nodes")


def test_an_evicted_and_a_pre_empted_pod_say_why_and_the_study_goes_on(
    lab: Lab, api: Api, priority: None, write_study: WriteStudy, tmp_path: Path
) -> None:
    image = f"{lab.registry}/sleeper:static"
    push_busybox(image, seconds=6)
    study = write_study("disrupted", images=[image], repetitions=2, options={"wait": "completed"})
    namespace, out = "pullstudy-disrupted", tmp_path / "out"
    runner = subprocess.Popen(command(study, "--out", str(out)), stderr=subprocess.PIPE, text=True)
    pods = wait_for_running(lab, namespace)
    evicted, pre_empted = sorted(pods)
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pods[evicted]))
    api.call(api.core.create_namespaced_pod_eviction, pods[evicted], namespace, eviction)
    important = make_important(lab, pre_empted, namespace)
    api.create(important)
    # It has made room; the second repetition needs that room again.
    end = time.monotonic() + 60
    while (pod := api.read(important)) and not pod["spec"].get("nodeName"):
        assert time.monotonic() < end, "nothing was pre-empted"
        time.sleep(0.2)
    api.delete(important, grace_seconds=0)
    _, said = runner.communicate(timeout=240)
    assert runner.returncode == 0, said
    assert count_pulls(out) == {(n, image, a): 1 for n in pods for a in (1, 2)}
    errors = {(row["node"], row["attempt"]): row["error"] for row in read(out, "pulls")}
    assert errors[evicted, 1].startswith("EvictionByEvictionAPI: ")
    assert errors[pre_empted, 1].startswith("PreemptionByScheduler: ")
    assert errors[evicted, 2] is errors[pre_empted, 2] is None
    # Their images had come before: the pulls themselves are measured.
    assert {row["outcome"] for row in read(out, "pulls")} == {"pulled"}
    assert_clean(lab, [image])
