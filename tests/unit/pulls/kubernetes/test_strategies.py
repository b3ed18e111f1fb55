"""Strategies, recipes and manifests are files: all of them can be read, and say what they need."""

from __future__ import annotations

import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullstudy.errors import ConfigError
from pullstudy.pulls.kubernetes.backend import Kubernetes
from pullstudy.pulls.kubernetes.install import read_manifests
from pullstudy.pulls.kubernetes.options import Options, check_options, read_options
from pullstudy.pulls.kubernetes.provision import plan_commands
from pullstudy.pulls.kubernetes.strategies import RESOURCES, list_strategies, load_strategy
from pullstudy.pulls.measure import check_strategies, plan_clusters
from pullstudy.pulls.study import load_pull_study

SCRIPT = RESOURCES / "snapshotter/snapshotter.sh"
SOCKET = "/run/x/x.sock"
CONFIGS = {
    "empty": None,
    "of its own": 'version = 2\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri".containerd]\n'
    '    default_runtime_name = "runc"\n    snapshotter = "overlayfs"\n'
    '    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n'
    '      runtime_type = "io.containerd.runc.v2"\n',
    "other quotes": "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
    "disable_snapshot_annotations = true\n",
    "containerd 2": "version = 3\n[plugins]\n  [plugins.'io.containerd.cri.v1.images']\n"
    "    snapshotter = 'overlayfs'\n    [plugins.'io.containerd.cri.v1.images'.registry]\n"
    "      config_path = '/etc/containerd/certs.d'\n"
    "  [plugins.'io.containerd.cri.v1.runtime'.containerd]\n"
    "    default_runtime_name = 'runc'\n",
    "containerd 2, short": "version = 3\n",
    "another proxy": 'version = 2\n[proxy_plugins]\n[proxy_plugins.other]\ntype = "snapshot"\n',
}


@pytest.mark.parametrize("name", list_strategies())
def test_a_strategy_can_be_read(name: str) -> None:
    strategy = load_strategy(name)
    assert strategy.description
    options = Options(snapshotter_image="a.b/snapshotter:1")
    for file in (*strategy.install, *strategy.uninstall):
        for manifest in read_manifests(file, options):
            assert {"apiVersion", "kind", "metadata"} <= manifest.keys()
            assert "image: pullstudy-snapshotter" not in yaml.safe_dump(manifest)


def test_an_installer_asks_for_its_image() -> None:
    with pytest.raises(ConfigError, match=r"options\.snapshotter_image"):
        read_manifests("stargz/install.yaml", Options())


@pytest.mark.parametrize(
    ("strategy", "pulled"),
    [
        ("plain", "ghcr.io/a/b:c"),
        ("zstd", "ghcr.io/a/b:c-zstd"),
        ("registry_cluster", "localhost:30500/a/b:c"),
    ],
)
def test_a_strategy_names_the_image(strategy: str, pulled: str) -> None:
    assert load_strategy(strategy).name_image("ghcr.io/a/b:c") == pulled


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A node's files, with commands that only write down how they are called."""
    for name in ("etc/systemd/system", "opt", "run", "var/lib"):
        (tmp_path / "host" / name).mkdir(parents=True)
    (tmp_path / "on-host").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n')
    (tmp_path / "on-host").chmod(0o755)
    (tmp_path / "image").mkdir()
    shutil.copy(SCRIPT, tmp_path / "image")
    (tmp_path / "image/daemon").write_text("a program")
    (tmp_path / "calls").touch()
    return tmp_path / "host"


def find_images_table(settings: dict[str, Any]) -> dict[str, Any]:
    """Where a version of containerd looks for its snapshotter."""
    plugins = settings.get("plugins", {})
    if settings.get("version") == 3:
        return dict(plugins.get("io.containerd.cri.v1.images", {}))
    return dict(plugins.get("io.containerd.grpc.v1.cri", {}).get("containerd", {}))


def call(host: Path, action: str) -> None:
    folder = host.parent
    subprocess.run(
        ["sh", str(folder / "image/snapshotter.sh"), action, "lazy", "daemon", SOCKET],
        env={
            "PATH": "/usr/bin:/bin",
            "HOST": str(host),
            "ON_HOST": str(folder / "on-host"),
            "CREDENTIALS": str(folder / "secret"),
        },
        check=True,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_the_installer_can_be_called_again_and_undone(host: Path, name: str) -> None:
    config, before = host / "etc/containerd/config.toml", CONFIGS[name]
    if before is not None:
        config.parent.mkdir()
        config.write_text(before)
    call(host, "install")
    read = tomllib.loads(config.read_text())
    kubernetes = find_images_table(read)
    assert kubernetes["snapshotter"] == "lazy"
    assert kubernetes["disable_snapshot_annotations"] is False
    assert read["proxy_plugins"]["lazy"] == {"type": "snapshot", "address": SOCKET}
    if before is not None:
        old = tomllib.loads(before)
        for table, settings in old.get("proxy_plugins", {}).items():
            assert read["proxy_plugins"][table] == settings
        changed = {"snapshotter": "lazy", "disable_snapshot_annotations": False}
        assert kubernetes == find_images_table(old) | changed
    assert (host / "opt/pullstudy/daemon").read_text() == "a program"

    calls = host.parent / "calls"
    assert calls.read_text().count("restart containerd.service") == 1
    written = config.read_text()
    call(host, "install")
    assert config.read_text() == written
    assert calls.read_text().count("restart") == 2  # containerd and the daemon, once each

    call(host, "uninstall")
    assert calls.read_text().count("restart containerd.service") == 3
    if before is not None:
        assert config.read_text() == before
    assert not list(host.rglob("*pullstudy*"))
    call(host, "uninstall")


def test_a_node_without_containerd_stays_as_it_is(host: Path) -> None:
    (host.parent / "on-host").write_text("#!/bin/sh\nexit 127\n")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        call(host, "install")
    assert b"this node has no ctr" in caught.value.stderr
    assert not [path for path in host.rglob("*") if path.is_file()]


def test_the_daemon_finds_the_credentials_of_the_secret_before_those_of_the_node(
    host: Path,
) -> None:
    secret = host.parent / "secret/.dockerconfigjson"
    of_node, kept = host / "root/.docker/config.json", host / "var/lib/pullstudy-lazy/config.json"
    call(host, "install")
    unit = (host / "etc/systemd/system/pullstudy-lazy.service").read_text()
    assert f"Environment=DOCKER_CONFIG={Path('/') / kept.parent.relative_to(host)}\n" in unit
    assert not kept.exists()

    of_node.parent.mkdir(parents=True)
    of_node.write_text("of the node")
    call(host, "install")
    assert kept.read_text() == "of the node"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    # Kubernetes lets the files of a secret be links, and changes where they lead.
    secret.parent.mkdir()
    (secret.parent / "first").write_text("of the secret")
    secret.symlink_to("first")
    call(host, "install")
    assert kept.read_text() == "of the secret"

    call(host, "uninstall")
    assert not kept.exists()


@pytest.mark.parametrize(
    "path", sorted((RESOURCES / "studies").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_study_file_can_be_run(path: Path) -> None:
    study = load_pull_study(path)
    check_options(study)
    check_strategies(study, Kubernetes())
    for plan in plan_clusters(study):
        plan_commands(plan, read_options(plan.settings), "kubeconfig")


def test_the_runs_of_the_paper_are_complete() -> None:
    """Six images and seven cluster sizes in each of four runs, as published."""
    study = load_pull_study(RESOURCES / "studies/paper.yaml")
    assert {run.name: run.strategies for run in study.runs} == {
        "run1": ("plain",),
        "run2": ("plain",),
        "run3": ("local_ssd",),
        "run4": ("streaming",),
    }
    for run in study.runs:
        assert run.cluster_sizes == (4, 8, 16, 32, 64, 128, 256)
        assert len(run.images) == 6
        assert {image.layers for image in run.images} == {9}
