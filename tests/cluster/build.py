"""Build the Kubernetes components of the test cluster, once for each version.

They are dependencies of the Go module in this folder, of a version whose kubelet still runs on
cgroup v1. The program is kept outside of the repository, in `pullstudy/cluster` of the user's cache
folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
GO_PACKAGES = Path("/usr/share/gocode")
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
_VERSION_PACKAGE = "k8s.io/component-base/version"


def find_components() -> Path:
    """Return the folder that holds a program for each component; builds it if need be."""
    version = read_version()
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((HERE / name).read_bytes())
    folder = _cache() / "cluster" / f"{version}-{digest.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "cluster").exists():
            _build(version, folder)
    return folder


def build_snapshotter(folder: Path) -> Path:
    """Build the daemon of the stargz snapshotter into a folder, from Debian's source packages."""
    workspace = folder / "src/snapshotter"
    workspace.mkdir(parents=True)
    shutil.copy(HERE / "_stargz/main.go", workspace)
    labels = GO_PACKAGES / "src/github.com/containerd/stargz-snapshotter/service/cri.go"
    text = labels.read_text().replace("package service", "package main", 1)
    (workspace / "cri.go").write_text(text)
    program = folder / "containerd-stargz-grpc"
    variables = {"GO111MODULE": "off", "CGO_ENABLED": "0", "GOPATH": f"{folder}:{GO_PACKAGES}"}
    subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=workspace, env=os.environ | variables, check=True,
    )  # fmt: skip
    return program


def read_version() -> str:
    """Return the version of Kubernetes that go.mod asks for."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text())
    assert found, "go.mod names no k8s.io/kubernetes"
    return found[1]


def _build(version: str, folder: Path) -> None:
    major, minor, _ = version.removeprefix("v").split(".", 2)
    # Without these the components take themselves for v0.0.0 and refuse each other.
    named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in named.items())
    new = folder / "cluster.new"
    subprocess.run(
        ["go", "build", "-trimpath", f"-ldflags=-s -w {flags}", "-o", str(new), "."],
        cwd=HERE, env=os.environ | {"CGO_ENABLED": "0"}, check=True,
    )  # fmt: skip
    for name in COMPONENTS:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to("cluster")
    new.replace(folder / "cluster")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pullstudy"


if __name__ == "__main__":
    print(find_components())
