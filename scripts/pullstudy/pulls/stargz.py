"""The daemon of the stargz snapshotter, built once: Debian has its code but not the program."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pullstudy.errors import PullError
from pullstudy.files import replace_atomically

_SOURCE = Path(__file__).resolve().parents[3] / "resources" / "stargz" / "main.go"
_GO_PACKAGES = Path("/usr/share/gocode")


def build_snapshotter() -> Path:
    """Return the program; build it with Go and Debian's package if it is not there.

    Raises PullError.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    program = Path(cache) / "pullstudy" / f"stargz-snapshotter-{digest}"
    if program.exists():
        return program
    if not (_GO_PACKAGES / "src/github.com/containerd/stargz-snapshotter").exists():
        raise PullError("install golang-github-containerd-stargz-snapshotter-dev, and run again")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "src/snapshotter"
        workspace.mkdir(parents=True)
        shutil.copy(_SOURCE, workspace)
        with replace_atomically(program) as partial:
            _build(workspace, partial, {"GOPATH": f"{folder}:{_GO_PACKAGES}"})
    return program


def _build(workspace: Path, program: Path, variables: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            ["go", "build", "-o", str(program), "."],
            cwd=workspace,
            env=os.environ | {"GO111MODULE": "off"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as exc:
        raise PullError(f"go: {exc.strerror}; install Go and run again") from exc
    if done.returncode:
        raise PullError(f"go build: {done.stderr.strip().rpartition(chr(10))[2]}")
