"""Strategies, recipes and manifests are files: all of them can be read, and say what they need."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

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


def call(host: Path, action: str) -> None:
    folder = host.parent
    subprocess.run(
        ["sh", str(folder / "image/snapshotter.sh"), action, "lazy", "daemon", SOCKET],
        env={"PATH": "/usr/bin:/bin", "HOST": str(host), "ON_HOST": str(folder / "on-host")},
        check=True,
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_the_installer_can_be_called_again_and_undone(host: Path, name: str) -> None:
    config, before = host / "etc/containerd/config.toml", CONFIGS[name]
    if before is not None:
        config.parent.mkdir()
        config.write_text(before)
    call(host, "install")
    read = tomllib.loads(config.read_text())
    kubernetes = read["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]
    assert kubernetes["snapshotter"] == "lazy"
    assert kubernetes["disable_snapshot_annotations"] is False
    assert read["proxy_plugins"]["lazy"] == {"type": "snapshot", "address": SOCKET}
    if before is not None:
        old = tomllib.loads(before)
        for table, settings in old.get("proxy_plugins", {}).items():
            assert read["proxy_plugins"][table] == settings
        kept = old.get("plugins", {}).get("io.containerd.grpc.v1.cri", {}).get("containerd", {})
        assert kubernetes.get("runtimes") == kept.get("runtimes")
    assert (host / "opt/pullstudy/daemon").read_text() == "a program"

    calls = host.parent / "calls"
    assert calls.read_text().count("restart containerd.service") == 1
    written = config.read_text()
    call(host, "install")
    assert config.read_text() == written
    assert calls.read_text().count("restart") == 2  # containerd and the daemon, once each

    call(host, "uninstall")
    assert calls.read_text().count("restart containerd.service") == 2
    if before is not None:
        assert config.read_text() == before
    assert not list(host.rglob("*pullstudy*"))
    call(host, "uninstall")


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
