"""Real container runtimes for tests, each in a folder of its own, stopped when the test ends.

Debian packages: docker.io containerd runc, and for lazy pulling stargz-snapshotter with
golang-github-containerd-stargz-snapshotter-dev and Go, because Debian has no daemon of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail

START_SECONDS = 60.0
GO_PACKAGES = Path("/usr/share/gocode")
SNAPSHOTTER_SOURCE = Path(__file__).parents[2] / "resources" / "stargz"


def require(*programs: str) -> None:
    """Skip (fail in CI) unless we are root and have these programs."""
    if os.geteuid() != 0:
        skip_or_fail("container runtimes need root here")
    for program in programs:
        if shutil.which(program) is None:
            skip_or_fail(f"{program} is not installed")


@contextlib.contextmanager
def run_daemon(
    command: list[str], folder: Path, is_up: Callable[[], bool], **variables: str
) -> Iterator[None]:
    """Run a daemon until the block ends; its output goes to a file in the folder."""
    name = Path(command[0]).name
    with (folder / f"{name}.log").open("w") as log:
        daemon = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | variables, start_new_session=True
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not is_up():
            if daemon.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{name} did not start: {(folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait(10)
        unmount_below(folder)


def unmount_below(folder: Path) -> None:
    """Take away what a daemon left mounted, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)


def run(*command: object, **variables: str) -> str:
    """Run a client and return what it says; its failure is the test's."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | variables,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@dataclass
class Containerd:
    """A containerd of our own, perhaps with the stargz snapshotter."""

    socket: Path
    started: int = 0

    def ctr(self, *arguments: object) -> str:
        return run("ctr", "-a", self.socket, *arguments)

    def pull(self, reference: str) -> None:
        self.ctr("images", "pull", "--plain-http", reference)

    def pull_lazily(self, reference: str) -> None:
        run("ctr-remote", "-a", self.socket, "images", "rpull", "--plain-http", reference)

    def start(self, reference: str, snapshotter: str = "overlayfs") -> str:
        """Start a container and return what it says.

        `ctr` of containerd 1.6 now and then loses the output of a container that ends at once; it
        still fails when the container does. So an empty output is asked for again, twice at most.
        """
        for _ in range(3):
            self.started += 1
            name = f"crafted-{self.started}"
            output = self.ctr("run", "--rm", "--snapshotter", snapshotter, reference, name)
            if output:
                break
        return output


@contextlib.contextmanager
def run_containerd(folder: Path, snapshotter: Path | None = None) -> Iterator[Containerd]:
    """Run containerd; snapshotter: socket of the stargz snapshotter."""
    require("containerd", "ctr", "runc")
    socket = folder / "containerd.sock"
    config = f"""
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
"""
    if snapshotter:
        config += f"""
[proxy_plugins.stargz]
  type = "snapshot"
  address = "{snapshotter}"
"""
    (folder / "config.toml").write_text(config)

    def is_up() -> bool:
        check = ["ctr", "-a", str(socket), "version"]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    command = ["containerd", "-c", str(folder / "config.toml")]
    with run_daemon(command, folder, is_up):
        yield Containerd(socket)


@contextlib.contextmanager
def run_snapshotter(folder: Path) -> Iterator[Path]:
    """Build and run the stargz snapshotter; gives its socket."""
    require("go", "ctr-remote")
    if not (GO_PACKAGES / "src/github.com/containerd/stargz-snapshotter").exists():
        skip_or_fail("golang-github-containerd-stargz-snapshotter-dev is not installed")
    workspace = folder / "go/src/snapshotter"
    workspace.mkdir(parents=True)
    shutil.copy(SNAPSHOTTER_SOURCE / "main.go", workspace)
    program, socket = folder / "snapshotter", folder / "snapshotter.sock"
    subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=workspace,
        env=os.environ | {"GO111MODULE": "off", "GOPATH": f"{folder / 'go'}:{GO_PACKAGES}"},
        check=True,
        timeout=900,
    )
    root = folder / "snapshots"
    root.mkdir()
    with run_daemon([str(program), str(root), str(socket)], folder, socket.exists):
        yield socket


@contextlib.contextmanager
def run_engine(folder: Path) -> Iterator[str]:
    """Run a Docker Engine without network; gives its DOCKER_HOST."""
    require("dockerd", "docker", "containerd")
    host = f"unix://{folder}/docker.sock"
    command = [
        "dockerd",
        "--host", host,
        "--data-root", f"{folder}/data",
        "--exec-root", f"{folder}/exec",
        "--pidfile", f"{folder}/docker.pid",
        "--bridge", "none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]  # fmt: skip

    def is_up() -> bool:
        check = ["docker", "--host", host, "version"]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    with run_daemon(command, folder, is_up):
        yield host
