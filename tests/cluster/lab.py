"""A real Kubernetes cluster on this machine, for tests: nodes are network namespaces.

    python -m tests.cluster.lab [NODES]      brings it up, says where it is, ends with Ctrl-C

Needs root, Go, and Debian's etcd-server, containerd, runc, containernetworking-plugins,
docker-registry, busybox-static and openssl. Everything is in one temporary folder.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

from tests.cluster.build import find_components
from tests.cluster.daemons import START_SECONDS, Daemon, DaemonFailed, call, end_below
from tests.cluster.images import push_busybox
from tests.cluster.network import Network
from tests.cluster.node import Node
from tests.cluster.plane import ControlPlane, free_port

PROGRAMS = (
    "go", "etcd", "containerd", "ctr", "runc", "docker-registry", "busybox", "openssl", "ip",
    "nsenter",
)  # fmt: skip


class Lab:
    """A cluster that runs: its control plane, its nodes and its registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Network()
        self.plane: ControlPlane
        self.nodes: list[Node] = []
        self.registry = f"{self.network.address}:{free_port(self.network.address)}"
        self._registry = make_registry(self.registry, folder, folder / "registry")

    @property
    def busybox(self) -> str:
        """An image with a shell, which is also what a pod's sandbox runs."""
        return f"{self.registry}/busybox:static"

    def start(self, nodes: int, users: Sequence[str], snapshotter: Path | None = None) -> None:
        """Bring everything up; all nodes are ready when this returns."""
        programs = find_components()
        self._registry.start()
        self._registry.wait()
        push_busybox(self.busybox)
        self.plane = ControlPlane(self._make_folder("plane"), programs, self.network.address)
        names = [f"node{number}" for number in range(1, nodes + 1)]
        for name in names:
            self.plane.add_user(f"system:node:{name}", "system:nodes")
        for user in users:
            self.plane.add_user(user)
        self.plane.start()
        for name in names:
            node = Node(name, self._make_folder(name), *self.network.add())
            self.nodes.append(node)
            config = self.plane.kubeconfig(f"system:node:{name}")
            node.prepare(programs / "kubelet", config, self.busybox, snapshotter)
            node.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until all nodes are ready."""
        end = time.monotonic() + START_SECONDS
        while (ready := self.ready_nodes()) < {node.name for node in self.nodes}:
            if time.monotonic() > end:
                raise DaemonFailed(f"of all nodes only {sorted(ready)} are ready: {self.folder}")
            time.sleep(0.2)

    def ready_nodes(self) -> set[str]:
        """Name the nodes that are ready."""
        return {
            item["metadata"]["name"]
            for item in json.loads(self.plane.ask("/api/v1/nodes"))["items"]
            for condition in item["status"].get("conditions", ())
            if (condition["type"], condition["status"]) == ("Ready", "True")
            and "taints" not in item["spec"]
        }

    def stop(self) -> None:
        """Take everything down, whatever came up."""
        for node in self.nodes:
            node.stop()
        if hasattr(self, "plane"):
            self.plane.stop()
        self._registry.stop()
        end_below(self.folder)
        self.network.delete()
        remove_tree(self.folder)

    def _make_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


def make_registry(address: str, folder: Path, storage: Path, users: Path | None = None) -> Daemon:
    """Return a registry that keeps its blobs in `storage`; users: htpasswd file of who may ask."""
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": address},
    }
    if users is not None:
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(users)}}
    path = folder / "registry.yml"
    path.write_text(json.dumps(config))

    def is_up() -> bool:
        try:
            answer = requests.get(f"http://{address}/v2/", timeout=1)
        except requests.ConnectionError:
            return False
        return answer.status_code == (401 if users else 200)

    return Daemon(["docker-registry", "serve", path], folder, is_up)


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is still mounted in it, the deepest first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    mounts = [line.split()[1] for line in lines]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        call("umount", "--lazy", mount, check=False)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def run_lab(
    nodes: int = 2, users: Sequence[str] = (), snapshotter: Path | None = None
) -> Iterator[Lab]:
    """Run a cluster until the block ends; users: further ones, without any rights."""
    # Sockets of containerd's shims need a short path.
    lab = Lab(Path(tempfile.mkdtemp(prefix="lab", dir="/tmp")))
    try:
        lab.start(nodes, users, snapshotter)
        yield lab
    finally:
        lab.stop()


def main() -> None:
    """Run a cluster until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with contextlib.suppress(KeyboardInterrupt), run_lab(nodes) as lab:
        print(f"KUBECONFIG={lab.plane.kubeconfig()}\nregistry={lab.registry}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
