"""Build the programs of the test cluster that Debian does not have, once for each version.

They are dependencies of Go modules: the components of Kubernetes of the one in this folder, of a
version whose kubelet still runs on cgroup v1; the daemons of snapshotters of the one in
`snapshotters/`. The programs are kept outside of the repository, in `pullstudy` of the user's cache
folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
SNAPSHOTTERS = ("stargz", "soci", "soci-convert")
_VERSION_PACKAGE = "k8s.io/component-base/version"


def find_components() -> Path:
    """Return the folder that holds a program for each component; builds it if need be."""
    sources = [HERE / name for name in ("go.mod", "go.sum", "main.go")]
    return _find(f"cluster/{read_version()}", sources, COMPONENTS, _build_components)


def find_snapshotters() -> Path:
    """Return the folder that holds `SNAPSHOTTERS`; builds them if need be."""
    sources = sorted(path for path in (HERE / "snapshotters").rglob("*") if path.is_file())
    return _find("snapshotters/go", sources, SNAPSHOTTERS, _build_snapshotters)


def read_version() -> str:
    """Return the version of Kubernetes that go.mod asks for."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text())
    assert found, "go.mod names no k8s.io/kubernetes"
    return found[1]


def _find(
    name: str, sources: Sequence[Path], programs: Sequence[str], build: Callable[[Path], None]
) -> Path:
    """Return the folder of the programs that these sources make; only one process builds."""
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    folder = _cache() / f"{name}-{digest.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / program).exists() for program in programs):
            build(folder)
    return folder


def _build_components(folder: Path) -> None:
    version = read_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    # Without these the components take themselves for v0.0.0 and refuse each other.
    named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in named.items())
    _build(HERE, ".", folder / "cluster", flags)
    for name in COMPONENTS:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to("cluster")


def _build_snapshotters(folder: Path) -> None:
    for name in SNAPSHOTTERS:
        # SOCI reads gzip through zlib, which is written in C: static as its Dockerfile builds it.
        is_c = name.startswith("soci")
        flags = '-extldflags "-static"' if is_c else ""
        _build(HERE / "snapshotters", f"./{name}", folder / name, flags, with_c=is_c)


def _build(module: Path, package: str, program: Path, flags: str, *, with_c: bool = False) -> None:
    new = program.with_suffix(".new")
    subprocess.run(
        [
            "go", "build", "-trimpath", "-tags", "osusergo netgo static_build",
            f"-ldflags=-s -w {flags}", "-o", str(new), package,
        ],
        cwd=module, env=os.environ | {"CGO_ENABLED": "1" if with_c else "0"}, check=True,
    )  # fmt: skip
    new.replace(program)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pullstudy"


if __name__ == "__main__":
    print(find_components())
    print(find_snapshotters())
