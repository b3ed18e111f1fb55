"""The installers of lazy snapshotters on a real node: only systemd is the test's own.

The daemons are those of stargz and SOCI themselves (`tests/cluster/snapshotters`), the images in a
registry that lets nobody in without a password.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.pulls.kubernetes.connect import Api, ClusterError, connect
from pullstudy.pulls.kubernetes.credentials import make_secrets
from pullstudy.pulls.kubernetes.install import read_manifests
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.strategies import RESOURCES, list_strategies, load_strategy
from pullstudy.registry.push import RepositoryPusher
from tests.cluster.build import find_snapshotters
from tests.cluster.images import push_files
from tests.cluster.lab import Lab, make_registry, run_lab
from tests.cluster.node import STARGZ_QUIET, describe_mirror
from tests.cluster.plane import free_port
from tests.cluster.systemd import Systemd
from tests.integration.kubernetes.conftest import check_compiler, check_programs
from tests.integration.kubernetes.test_pull_study import (
    MANIFEST,
    command,
    pull,
    read,
    wait_for_trials,
)
from tests.integration.kubernetes.test_streaming import SIZE, STUDY, craft

pytestmark = pytest.mark.integration

USER, PASSWORD = "node", "of the test"
# bcrypt, the only hash that the registry takes.
HASH = "$2b$04$99igVoLj2gc6h21I02IZb.VKO/4GqIVNIAbZD5w40eYhfu2dhO1R2"
NAMESPACE, SECRET = "private", "registry"
# Names of the snapshotters, and where they look for their settings.
SETTINGS = {
    "stargz": "/etc/containerd-stargz-grpc",
    "soci": "/etc/soci-snapshotter-grpc",
}
QUIET = {
    "stargz": STARGZ_QUIET,
    "soci": "no_prometheus = true\n[background_fetch]\ndisable = true\n",
}
SOCKETS = ("/run/containerd-stargz-grpc", "/run/soci-snapshotter-grpc")
STATES = {name: Path(f"/var/lib/pullstudy-{name}") for name in SETTINGS}


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    check_programs()
    check_compiler()
    with run_lab(nodes=1) as running:
        yield running


@pytest.fixture(scope="module")
def installer(bare_lab: Lab) -> str:
    """The image of the installers, as their Dockerfile makes it."""
    programs = find_snapshotters()
    files = {
        "opt/snapshotter.sh": RESOURCES / "snapshotter/snapshotter.sh",
        "opt/containerd-stargz-grpc": programs / "stargz",
        "opt/soci-snapshotter-grpc": programs / "soci",
    }
    reference = f"{bare_lab.registry}/snapshotter:1"
    push_files(reference, files, ["/bin/sh", "/opt/snapshotter.sh"])
    return reference


@pytest.fixture(scope="module")
def guarded(bare_lab: Lab) -> Iterator[str]:
    """The images of the lab's registry in one that asks for a password."""
    address = f"{bare_lab.network.address}:{free_port(bare_lab.network.address)}"
    folder = bare_lab.folder / "guarded"
    folder.mkdir()
    (folder / "users").write_text(f"{USER}:{HASH}\n")
    storage = bare_lab.folder / "registry"
    daemon = make_registry(address, folder, storage, users=folder / "users")
    daemon.start()
    try:
        daemon.wait()
        yield address
    finally:
        daemon.stop()


@pytest.fixture(scope="module")
def systemd(bare_lab: Lab, guarded: str) -> Iterator[Systemd]:
    (node,) = bare_lab.nodes
    for path in SOCKETS:
        node.lay_over(path)
    settings = node.folder / "etc-containerd/certs.d" / guarded
    settings.mkdir()
    (settings / "hosts.toml").write_text(f'[host."http://{guarded}"]\n')
    for name, path in SETTINGS.items():
        # SOCI wants a scheme here, stargz refuses it.
        scheme = "http://" if name == "soci" else ""
        hosts = (guarded, bare_lab.registry)
        mirrors = "".join(describe_mirror(host, scheme + host) for host in hosts)
        (node.lay_over(path) / "config.toml").write_text(QUIET[name] + mirrors)
    try:
        with Systemd(node) as running:
            yield running
    finally:
        # On the machine itself: a folder that is mounted cannot be taken away by the uninstaller.
        for state in STATES.values():
            shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def api(bare_lab: Lab, guarded: str) -> Api:
    """The cluster, with a namespace that holds the password of the registry."""
    api = connect(str(bare_lab.plane.kubeconfig()))
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": labels},
        }
    )
    api.apply(make_secret(SECRET, {".dockerconfigjson": log_in(guarded)}))
    return api


def log_in(registry: str) -> dict[str, Any]:
    """What `docker login` writes."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return {"auths": {registry: {"auth": login}}}


def make_secret(name: str, content: dict[str, Any]) -> dict[str, Any]:
    data = {
        key: base64.b64encode(json.dumps(value).encode()).decode() for key, value in content.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson" if ".dockerconfigjson" in content else "Opaque",
        "data": data,
    }


def craft_estargz(lab: Lab, folder: Path) -> str:
    """Push an eStargz image with the suffix of its strategy; returns its name without."""
    image = craft(lab, folder, "lazy", "compression: estargz\nreads: 1%")
    repository, _, tag = image.removeprefix(f"{lab.registry}/").rpartition(":")
    pusher = RepositoryPusher(lab.registry, repository, plain_http=True)
    found = pusher.get_manifest(tag, (MANIFEST,))
    assert found
    pusher.put_manifest(tag + load_strategy("estargz").tag_suffix, *found)
    return f"{repository}:{tag}"


def craft_soci(lab: Lab, folder: Path) -> str:
    """Push an ordinary image, converted by SOCI itself, with the suffix of its strategy."""
    folder.mkdir()
    layout, study = folder / "layout", folder / "craft.yaml"
    study.write_text(f"{STUDY}reads: 1%\n")
    (image,) = craft_study(study, CraftSettings(f"oci:{layout}"))
    converted = subprocess.run(
        [
            find_snapshotters() / "soci-convert",
            f"--layout={layout}",
            f"--manifest={image.digest}",
            f"--database={folder / 'notes'}",
        ],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    # The library says what it does for each layer before.
    index = converted.stdout.splitlines()[-1]
    pusher, tag = RepositoryPusher(lab.registry, "soci", plain_http=True), image.planned.cell.tag
    push_manifest(pusher, layout, image.digest, tag)
    push_manifest(pusher, layout, index, tag + load_strategy("soci").tag_suffix)
    return f"soci:{tag}"


def push_manifest(pusher: RepositoryPusher, layout: Path, digest: str, reference: str) -> None:
    """Push a manifest, or an index of manifests, after all that it names."""
    content = read_blob(layout, digest)
    document = json.loads(content)
    for entry in document.get("manifests", ()):
        push_manifest(pusher, layout, entry["digest"], entry["digest"])
    for part in (*document.get("layers", ()), document.get("config")):
        if part:
            pusher.push_bytes(read_blob(layout, part["digest"]))
    pusher.put_manifest(reference, content, document["mediaType"])


def read_blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


@pytest.fixture
def logged_in(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runner have the password as well."""
    (tmp_path / "config.json").write_text(json.dumps(log_in(guarded)))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize(
    ("strategy", "name", "make"),
    [("estargz", "stargz", craft_estargz), ("soci", "soci", craft_soci)],
    ids=["estargz", "soci"],
)
def test_a_study_installs_pulls_lazily_and_takes_all_away_again(
    bare_lab: Lab, guarded: str, api: Api, installer: str, systemd: Systemd, tmp_path: Path,
    strategy: str, name: str, make: Any,
) -> None:  # fmt: skip
    before = (bare_lab.nodes[0].folder / "etc-containerd/config.toml").read_text()
    systemd.calls.clear()
    image = make(bare_lab, tmp_path / "craft")
    study = write_study(bare_lab, tmp_path, strategy, [f"{guarded}/{image}"], installer)
    sent = bare_lab.network.sent_bytes(0)
    done = pull(study, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr + "\n".join(systemd.calls)
    assert [row["outcome"] for row in read(tmp_path / "out", "pulls")] == ["pulled"]
    # The images of the cluster itself come once more, the crafted one as far as it is read.
    assert bare_lab.network.sent_bytes(0) - sent < SIZE
    # With it, without it as that of Kubernetes, and without it.
    assert systemd.calls.count("restart containerd.service") == 3
    assert_removed(bare_lab, systemd, name, before)


def write_study(
    lab: Lab, folder: Path, strategy: str, images: list[str], installer: str, repetitions: int = 1
) -> Path:
    study = {
        "study": f"installed-{strategy}",
        "images": images,
        "repetitions": repetitions,
        "strategies": [strategy],
        "endpoints": [str(lab.plane.kubeconfig())],
        "registry": {"plain_http": True},
        "options": {
            "namespace": NAMESPACE,
            "pull_secrets": [SECRET],
            "cleaner_image": lab.busybox,
            "snapshotter_image": installer,
            "wait": "completed",
        },
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def assert_removed(lab: Lab, systemd: Systemd, name: str, config: str) -> None:
    assert (lab.nodes[0].folder / "etc-containerd/config.toml").read_text() == config
    assert not list(systemd.units.glob("pullstudy-*"))
    assert not STATES[name].exists()
    namespaces = json.loads(lab.plane.ask("/api/v1/namespaces"))["items"]
    assert not [each for each in namespaces if name in each["metadata"]["name"]]
    # Only the user's own secret is left.
    secrets = json.loads(lab.plane.ask("/api/v1/secrets"))["items"]
    assert [each["metadata"]["name"] for each in secrets] == [SECRET]
    # Nothing that containerd remembers needs the snapshotter.
    for container in lab.nodes[0].ctr("containers", "list", "--quiet").split():
        about = json.loads(lab.nodes[0].ctr("containers", "info", container))
        assert about["Snapshotter"] == "overlayfs"


@pytest.mark.usefixtures("logged_in")
def test_after_a_kill_clean_takes_it_from_the_nodes(
    bare_lab: Lab, guarded: str, api: Api, installer: str, systemd: Systemd, tmp_path: Path
) -> None:
    before = (bare_lab.nodes[0].folder / "etc-containerd/config.toml").read_text()
    image = craft_estargz(bare_lab, tmp_path / "craft")
    study = write_study(bare_lab, tmp_path, "estargz", [f"{guarded}/{image}"], installer, 9)
    out = tmp_path / "out"
    runner = subprocess.Popen(command(study, "--out", str(out)), stderr=subprocess.DEVNULL)
    wait_for_trials(runner, out / "journal.jsonl", 1)
    runner.kill()
    runner.wait(10)
    assert STATES["stargz"].exists()

    done = pull(study, "--clean")
    assert done.returncode == 0, done.stderr
    assert "what strategy 'estargz' installs is taken away" in done.stdout
    assert_removed(bare_lab, systemd, "stargz", before)


@pytest.mark.parametrize(
    ("names", "problem"),
    [(["absent"], "secret private/absent is missing"), (["other"], "holds no .dockerconfigjson")],
)
def test_a_secret_that_is_no_use_is_an_error(api: Api, names: list[str], problem: str) -> None:
    api.apply(make_secret("other", {"password": "x"}))
    options = Options(snapshotter_image="a.b/c:1", pull_secrets=tuple(names))
    manifests = read_manifests("soci/install.yaml", options)
    try:
        with pytest.raises(ClusterError, match=problem):
            make_secrets(api, manifests, NAMESPACE, options)
    finally:
        api.delete(make_secret("other", {}))


@pytest.mark.parametrize("name", list_strategies())
def test_the_server_takes_what_a_strategy_installs(
    bare_lab: Lab, installer: str, name: str
) -> None:
    api = connect(str(bare_lab.plane.kubeconfig()))
    strategy, options = load_strategy(name), Options(snapshotter_image=installer)
    for file in (*strategy.install, *strategy.uninstall):
        for manifest in read_manifests(file, options):
            if manifest["metadata"].get("namespace"):
                manifest["metadata"]["namespace"] = "default"
            api.resource(manifest).create(
                body=manifest, namespace="default", query_params=[("dryRun", "All")]
            )
