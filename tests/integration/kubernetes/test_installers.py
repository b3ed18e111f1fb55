"""The installer of the stargz snapshotter on a real node: only systemd is the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from pullstudy.pulls.kubernetes.connect import connect
from pullstudy.pulls.kubernetes.install import read_manifests
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.strategies import RESOURCES, list_strategies, load_strategy
from tests.cluster.build import GO_PACKAGES, build_snapshotter
from tests.cluster.images import push_files
from tests.cluster.lab import Lab, run_lab
from tests.cluster.systemd import Systemd
from tests.conftest import skip_or_fail
from tests.integration.kubernetes.conftest import check_programs
from tests.integration.kubernetes.test_pull_study import MANIFEST, pull, read
from tests.integration.kubernetes.test_streaming import SIZE, craft

pytestmark = pytest.mark.integration

SNAPSHOTS = Path("/var/lib/pullstudy-stargz")


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    check_programs()
    if not (GO_PACKAGES / "src/github.com/containerd/stargz-snapshotter").exists():
        skip_or_fail("golang-github-containerd-stargz-snapshotter-dev is not installed")
    with run_lab(nodes=1) as running:
        yield running


@pytest.fixture(scope="module")
def installer(bare_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the installers, with a daemon that is built from Debian's sources."""
    program = build_snapshotter(tmp_path_factory.mktemp("stargz"))
    files = {
        "opt/snapshotter.sh": RESOURCES / "snapshotter/snapshotter.sh",
        "opt/containerd-stargz-grpc": program,
    }
    reference = f"{bare_lab.registry}/snapshotter:1"
    push_files(reference, files, ["/bin/sh", "/opt/snapshotter.sh"])
    return reference


@pytest.fixture(scope="module")
def systemd(bare_lab: Lab) -> Iterator[Systemd]:
    (node,) = bare_lab.nodes
    node.lay_over("/run/containerd-stargz-grpc")
    settings = node.lay_over("/etc/containerd-stargz-grpc") / "config.toml"
    settings.write_text(
        "noprefetch = true\nno_background_fetch = true\n"
        f'[[resolver.host."{bare_lab.registry}".mirrors]]\ninsecure = true\n'
    )
    try:
        with Systemd(node) as running:
            yield running
    finally:
        # On the machine itself: a folder that is mounted cannot be taken away by the uninstaller.
        shutil.rmtree(SNAPSHOTS, ignore_errors=True)


def add_tag(image: str, suffix: str) -> None:
    """Let an image be found under a further tag."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    url = f"http://{registry}/v2/{repository}/manifests/{tag}"
    manifest = requests.get(url, headers={"Accept": MANIFEST})
    headers = {"Content-Type": manifest.headers["Content-Type"]}
    requests.put(url + suffix, manifest.content, headers=headers).raise_for_status()


def test_a_study_installs_pulls_lazily_and_takes_all_away_again(
    bare_lab: Lab, installer: str, systemd: Systemd, tmp_path: Path
) -> None:
    before = (bare_lab.nodes[0].folder / "etc-containerd/config.toml").read_text()
    image = craft(bare_lab, tmp_path / "craft", "lazy", "compression: estargz\nreads: 1%")
    add_tag(image, load_strategy("estargz").tag_suffix)
    study = {
        "study": "installed",
        "images": [image],
        "strategies": ["estargz"],
        "endpoints": [str(bare_lab.plane.kubeconfig())],
        "registry": {"plain_http": True},
        "options": {
            "cleaner_image": bare_lab.busybox,
            "snapshotter_image": installer,
            "wait": "completed",
        },
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    sent = bare_lab.network.sent_bytes(0)
    done = pull(tmp_path / "study.yaml", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr + "\n".join(systemd.calls)
    assert [row["outcome"] for row in read(tmp_path / "out", "pulls")] == ["pulled"]
    # The images of the cluster itself come once more, the crafted one as far as it is read.
    assert bare_lab.network.sent_bytes(0) - sent < SIZE
    assert systemd.calls.count("restart containerd.service") == 2
    assert (bare_lab.nodes[0].folder / "etc-containerd/config.toml").read_text() == before
    assert not list(systemd.units.glob("pullstudy-*"))
    assert not SNAPSHOTS.exists()


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
