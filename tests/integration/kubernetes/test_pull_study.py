"""`pullstudy pull --backend kubernetes` on a real cluster, as an operator runs it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import requests
import yaml
from kubernetes import client

from pullstudy.pulls.kubernetes.connect import Api
from pullstudy.pulls.kubernetes.strategies import RESOURCES
from tests.cluster.lab import Lab

if TYPE_CHECKING:
    from tests.integration.kubernetes.conftest import WriteStudy

pytestmark = pytest.mark.integration

GUEST = "guest"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def command(study: Path, *more: str) -> list[str]:
    program = Path(sys.executable).with_name("pullstudy")
    return [str(program), "pull", str(study), "--backend", "kubernetes", *more]


def pull(study: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(study, *more), capture_output=True, text=True, check=False, timeout=300
    )


def read(out: Path, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / f"{table}.parquet").to_pylist()
    return rows


def count_pulls(out: Path) -> Counter[tuple[str, str, int]]:
    return Counter((row["node"], row["image"], row["attempt"]) for row in read(out, "pulls"))


def names_of(lab: Lab, path: str) -> list[str]:
    items = json.loads(lab.plane.ask(path))["items"]
    return [item["metadata"]["name"] for item in items]


def assert_clean(lab: Lab, images: list[str]) -> None:
    namespaces = names_of(lab, "/api/v1/namespaces")
    assert not [name for name in namespaces if name.startswith("pullstudy")]
    assert not [node.name for node in lab.nodes for image in images if node.has_image(image)]


def test_every_node_pulls_every_image_once_per_repetition(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    study, out = write_study("whole", repetitions=2), tmp_path / "out"
    done = pull(study, "--out", str(out))
    assert done.returncode == 0, done.stderr
    nodes = {node.name for node in lab.nodes}
    assert count_pulls(out) == {(n, i, r): 1 for n in nodes for i in images for r in (1, 2)}
    for row in read(out, "pulls"):
        assert (row["outcome"], row["error"], row["reports"]) == ("pulled", None, 1)
        assert 0 < row["seconds"] <= row["seconds_including_waiting"] < 60
        order = [row[f"{name}_at_utc"] for name in ("requested", "pulled", "ready")]
        assert order == sorted(order)
        assert row["compressed_bytes"] == size_of(row["image"])
        assert row["nominal_bytes"] is None or row["nominal_bytes"] > 0
    assert {row["node"] for row in read(out, "nodes")} == nodes
    assert {row["kubelet"] for row in read(out, "nodes")} == {"v1.31.14"}
    jobs = read(out, "jobs")
    assert [job["outcome"] for job in jobs] == ["completed"] * 4
    # Create, wait and end: what a trial takes beside its slowest pull.
    for job in jobs:
        longest = max(r["seconds"] for r in read(out, "pulls") if r["job"] == job["job"])
        assert job["seconds"] - longest < 10
    assert not [row for row in read(out, "dropped") if row["what"] == "trial"]
    assert_clean(lab, images)


def size_of(image: str) -> int:
    """Add up an image's bytes as its registry tells them: layers, config and manifest."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    answer = requests.get(
        f"http://{registry}/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST}
    )
    manifest = answer.json()
    blobs = [manifest["config"], *manifest["layers"]]
    return len(answer.content) + sum(int(blob["size"]) for blob in blobs)


def test_the_plan_is_shown_and_what_it_would_make_is_valid(
    lab: Lab, write_study: WriteStudy, api: Api
) -> None:
    done = pull(write_study("plan", repetitions=3), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^# run1/2 +2 +6 ", done.stdout, re.MULTILINE)
    assert "its kubelet pulls serially" in done.stdout
    manifests = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert [m["kind"] for m in manifests] == ["Namespace", "ConfigMap", "DaemonSet", "Job"]
    for manifest in manifests:
        if manifest["metadata"].get("namespace"):
            manifest["metadata"]["namespace"] = "default"
        for owner in manifest["metadata"].get("ownerReferences", ()):
            owner["uid"] = "0"
        # The server itself says whether it would take it.
        kind = api.resource(manifest)
        kind.create(body=manifest, namespace="default", query_params=[("dryRun", "All")])
    assert not [n for n in names_of(lab, "/api/v1/namespaces") if n.startswith("pullstudy")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"price_per_node_hour": 1000.0, "price_limit": 0.5},
            r"estimated to cost \d+\.\d\d, its limit is 0\.5 \(options\.price_limit\); add --yes",
        ),
        (
            {"node_hours_limit": 0.001},
            r"need \d\.\d node-hours, its limit is 0\.001 \(options\.node_hours_limit\); add --yes",
        ),
    ],
)
def test_a_study_above_its_limit_needs_a_yes(
    lab: Lab, write_study: WriteStudy, tmp_path: Path, options: dict[str, float], reason: str
) -> None:
    done = pull(write_study("dear", options=options), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert re.search(reason, done.stderr)
    assert done.stderr.count("\n") == 1
    assert "pullstudy-dear" not in names_of(lab, "/api/v1/namespaces")


def test_a_yes_lets_it_run(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    study = write_study("dear", images=images[:1], options={"node_hours_limit": 0.001})
    done = pull(study, "--out", str(tmp_path / "out"), "--yes")
    assert done.returncode == 0, done.stderr
    assert set(count_pulls(tmp_path / "out").values()) == {1}
    assert_clean(lab, images)


def test_a_cluster_that_is_too_small_is_told(write_study: WriteStudy, tmp_path: Path) -> None:
    done = pull(write_study("large", nodes=3), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "needs 3 nodes, the cluster has 2 that are ready" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_account_gets_by_with_the_rights_that_are_written_down(
    lab: Lab, images: list[str], write_study: WriteStudy, api: Api, tmp_path: Path
) -> None:
    study = write_study(
        "guest", options={"namespace": "pullstudy"}, endpoints=[str(lab.plane.kubeconfig(GUEST))]
    )
    refused = pull(study, "--out", str(tmp_path / "out"))
    assert refused.returncode == 1
    assert "preflight: this account may not create, get, delete configmaps" in refused.stderr
    assert refused.stderr.count("\n") == 1
    with grant_rights(api):
        done = pull(study, "--out", str(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert set(count_pulls(tmp_path / "out").values()) == {1}
        # The namespace is the user's; what was made in it is gone.
        left = json.loads(lab.plane.ask("/apis/batch/v1/namespaces/pullstudy/jobs"))["items"]
        assert not left
    assert not [node.name for node in lab.nodes for image in images if node.has_image(image)]


@contextlib.contextmanager
def grant_rights(api: Api, **subject: str) -> Iterator[None]:
    """Let an account run studies in the namespace `pullstudy`; the one of the file by default."""
    text = (RESOURCES / "rbac.yaml").read_text()
    rights: list[dict[str, Any]] = [each for each in yaml.safe_load_all(text) if each]
    for manifest in rights:
        if subject and "subjects" in manifest:
            manifest["subjects"] = [subject]
        api.apply(manifest)
    try:
        yield
    finally:
        for manifest in rights:
            api.delete(manifest)
        while api.read(rights[0]) is not None:
            time.sleep(0.2)


def test_a_pod_finds_the_cluster_around_it(
    lab: Lab, images: list[str], write_study: WriteStudy, api: Api, tmp_path: Path
) -> None:
    """With a service account's own token, and files where a pod has them."""
    study = write_study("inside", images=images[:1], options={"namespace": "pullstudy"})
    document = yaml.safe_load(study.read_text())
    del document["endpoints"]
    study.write_text(yaml.safe_dump(document))
    account = {"kind": "ServiceAccount", "name": "runner", "namespace": "pullstudy"}
    with grant_rights(api, **account):
        metadata = {"name": "runner", "namespace": "pullstudy"}
        api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        asked = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[]))
        create = api.core.create_namespaced_service_account_token
        token = api.call(create, "runner", "pullstudy", asked).status.token
        done = pull_inside(lab, token, tmp_path, study)
    assert done.returncode == 0, done.stderr
    assert set(count_pulls(tmp_path / "out").values()) == {1}


def pull_inside(
    lab: Lab, token: str, folder: Path, study: Path
) -> subprocess.CompletedProcess[str]:
    """Run a study as a pod would, in a mount namespace with a pod's files."""
    (folder / "token").write_text(token)
    authority = connection_of(lab)["certificate-authority"]
    script = (
        "set -e; mount -t tmpfs none /run; own=/run/secrets/kubernetes.io/serviceaccount; "
        'mkdir -p "$own"; cp "$1" "$own/token"; cp "$2" "$own/ca.crt"; shift 2; exec "$@"'
    )
    inside = ["unshare", "--mount", "sh", "-c", script, "sh", str(folder / "token"), authority]
    host, _, port = connection_of(lab)["server"].removeprefix("https://").partition(":")
    around = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "KUBECONFIG": ""}
    return subprocess.run(
        [*inside, *command(study, "--out", str(folder / "out"))],
        capture_output=True, text=True, check=False, timeout=300, env=os.environ | around,
    )  # fmt: skip


def connection_of(lab: Lab) -> dict[str, str]:
    """Where the API server is, and which certificate it shows."""
    document = yaml.safe_load(lab.plane.kubeconfig().read_text())
    cluster: dict[str, str] = document["clusters"][0]["cluster"]
    return cluster


def test_prepulled_images_are_there_when_the_pods_come(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    study = write_study("before", images=images[:1], strategies=["prepull"])
    done = pull(study, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    rows = read(tmp_path / "out", "pulls")
    assert [row["outcome"] for row in rows] == ["present"] * len(lab.nodes)
    assert all(row["ready_at_utc"] is not None and row["seconds"] is None for row in rows)
    assert_clean(lab, images)


def test_a_pull_that_fails_is_a_row(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    broken = break_image(lab, images[0])
    done = pull(write_study("broken", images=[broken, images[1]]), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    rows = read(tmp_path / "out", "pulls")
    failed = [row for row in rows if row["outcome"] == "failed"]
    assert {row["image"] for row in failed} == {broken}
    assert len(failed) == len(rows) - len(failed) == len(lab.nodes)
    assert all("not found" in row["error"] for row in failed)


def break_image(lab: Lab, image: str) -> str:
    """Push a manifest under another name, without its layers."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    url = f"http://{registry}/v2/{{}}/manifests/{tag}"
    manifest = requests.get(url.format(repository), headers={"Accept": MANIFEST}).content
    store = lab.folder / "registry/docker/registry/v2/repositories"
    source, target = store / repository, store / "broken"
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    for layer in json.loads(manifest)["layers"]:
        digest = layer["digest"].partition(":")[2]
        subprocess.run(["rm", "-r", str(target / "_layers/sha256" / digest)], check=True)
    return f"{registry}/broken:{tag}"


def test_a_killed_run_goes_on_and_counts_nothing_twice(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    study, out = write_study("killed", repetitions=2), tmp_path / "out"
    for trials in (1, 2):
        runner = subprocess.Popen(
            command(study, "--out", str(out)), stderr=subprocess.PIPE, start_new_session=True
        )
        wait_for_trials(runner, out / "journal.jsonl", trials)
        os.killpg(runner.pid, signal.SIGKILL)
        runner.wait(10)
    assert "pullstudy-killed" in names_of(lab, "/api/v1/namespaces")
    cleaned = pull(study, "--clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert "nothing of 'killed' is left" in cleaned.stdout
    assert "pullstudy-killed" not in names_of(lab, "/api/v1/namespaces")
    done = pull(study, "--out", str(out))
    assert done.returncode == 0, done.stderr
    nodes = {node.name for node in lab.nodes}
    assert count_pulls(out) == {(n, i, r): 1 for n in nodes for i in images for r in (1, 2)}
    assert {row["outcome"] for row in read(out, "pulls")} == {"pulled"}
    assert_clean(lab, images)


def wait_for_trials(runner: subprocess.Popen[Any], journal: Path, wanted: int) -> None:
    """Wait until so many trials are finished and another one is under way."""
    end = time.monotonic() + 120
    while time.monotonic() < end and runner.poll() is None:
        text = journal.read_text() if journal.exists() else ""
        begun, finished = text.count('"type":"begun"'), text.count('"type":"finished"')
        if finished >= wanted and begun > finished:
            return
        time.sleep(0.05)
    runner.kill()
    pytest.fail(f"no {wanted} trials in {journal}")


def test_ctrl_c_leaves_the_cluster_clean(
    lab: Lab, images: list[str], write_study: WriteStudy, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    runner = subprocess.Popen(
        command(write_study("stopped", repetitions=9), "--out", str(out)),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_trials(runner, out / "journal.jsonl", 1)
    runner.send_signal(signal.SIGINT)
    _, said = runner.communicate(timeout=120)
    assert runner.returncode == 130
    assert "stopped; run again to go on" in said
    assert_clean(lab, images)
