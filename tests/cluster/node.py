"""A node of the test cluster: containerd and kubelet in namespaces of their own.

Each node has a network namespace, and a mount namespace in which the folders that belong to a node
(`/etc/containerd`, `/run/containerd`, `/var/lib/kubelet`, …) are its own; the kernel and all other
files are the machine's. The machine may lack CAP_SYS_RESOURCE, hence KubeletInUserNamespace and
restrict_oom_score_adj.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

from tests.cluster.daemons import Daemon, call

SOCKET = "/run/containerd/containerd.sock"
_SNAPSHOTTER_SOCKET = "/run/containerd/stargz.sock"
_CNI_PROGRAMS = "/usr/lib/cni"
_KUBELET_PORT = 10250
# A folder in the node's own one for each of these.
_OWN_FOLDERS = (
    "/etc/cni", "/etc/containerd", "/opt", "/run/containerd", "/var/lib/containerd",
    "/var/lib/kubelet", "/var/log/pods", "/var/log/containers",
)  # fmt: skip

_CONTAINERD = """
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    disable_snapshot_annotations = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""
_PROXY = """
[proxy_plugins.stargz]
  type = "snapshot"
  address = "{address}"
"""

# It fetches nothing that nobody reads.
STARGZ_QUIET = "noprefetch = true\nno_background_fetch = true\nno_prometheus = true\n"


def describe_mirror(registry: str, host: str) -> str:
    """Let a snapshotter ask a registry over plain HTTP; host: as its settings name it."""
    return f'[[resolver.host."{registry}".mirrors]]\nhost = "{host}"\ninsecure = true\n'


class Node:
    """One node; `start` brings it up, `stop` ends it with all its containers."""

    def __init__(self, name: str, folder: Path, namespace: str, address: str) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self.containerd: Daemon
        self.kubelet: Daemon
        self.snapshotter: Daemon | None = None
        self._namespace = namespace
        self.inside: list[str] = []
        self._holder: subprocess.Popen[bytes] | None = None

    def prepare(
        self, kubelet: Path, kubeconfig: Path, pause: str, snapshotter: Path | None = None
    ) -> None:
        """Make its namespaces and write all settings.

        pause: image of a pod's sandbox. snapshotter: program of the stargz snapshotter.
        """
        self._enter_namespaces()
        if snapshotter is not None:
            self._prepare_snapshotter(snapshotter, pause.partition("/")[0])
        self._write_containerd(pause, snapshotter)
        config = self._own("/var/lib/kubelet") / "config.json"
        config.write_text(json.dumps(self._kubelet_settings()))
        self.containerd = Daemon(["containerd"], self.folder, self._is_containerd_up, self.inside)
        self.kubelet = Daemon(
            [
                kubelet,
                "--config=/var/lib/kubelet/config.json",
                f"--kubeconfig={kubeconfig}",
                f"--hostname-override={self.name}",
                f"--node-ip={self.address}",
            ],
            self.folder, self._is_kubelet_up, self.inside,
        )  # fmt: skip

    def start(self) -> None:
        """Start both without waiting for the kubelet."""
        if self.snapshotter is not None:
            self.snapshotter.start()
            self.snapshotter.wait()
        self.containerd.start()
        self.containerd.wait()
        self.kubelet.start()

    def stop(self) -> None:
        """End both, the containers in between, and the namespaces."""
        if hasattr(self, "kubelet"):
            self.kubelet.stop()
            for task in self.ctr("tasks", "list", "--quiet", check=False).split():
                self.ctr("tasks", "delete", "--force", task, check=False)
            self.containerd.stop()
        if self.snapshotter is not None:
            self.snapshotter.stop()
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait(10)

    def ctr(self, *arguments: object, check: bool = True) -> str:
        """Run `ctr` on the node's containerd, where Kubernetes keeps its images."""
        address = self._own("/run/containerd") / "containerd.sock"
        return call("ctr", "-a", address, "-n", "k8s.io", *arguments, check=check)

    def has_image(self, reference: str) -> bool:
        """Whether containerd knows an image."""
        return reference in self.ctr("images", "list", "--quiet", f"name=={reference}").split()

    def _prepare_snapshotter(self, program: Path, registry: str) -> None:
        """Let it ask the tests' registry over plain HTTP, and fetch nothing that nobody reads."""
        folder = self._own("/var/lib/containerd") / "stargz"
        folder.mkdir()
        (folder / "config.toml").write_text(STARGZ_QUIET + describe_mirror(registry, registry))
        socket_path = self._own("/run/containerd") / "stargz.sock"
        self.snapshotter = Daemon(
            [
                program,
                f"--address={_SNAPSHOTTER_SOCKET}",
                "--root=/var/lib/containerd/stargz",
                "--config=/var/lib/containerd/stargz/config.toml",
            ],
            self.folder, socket_path.exists, self.inside,
        )  # fmt: skip

    def _enter_namespaces(self) -> None:
        """Start a process that holds the namespaces, and lay the node's folders over others."""
        self._holder = subprocess.Popen(
            [
                "nsenter", f"--net=/var/run/netns/{self._namespace}",
                "unshare", "--mount", "--propagation", "private", "sleep", "infinity",
            ]
        )  # fmt: skip
        pid = self._holder.pid
        self.inside = ["nsenter", f"--target={pid}", "--net", "--mount"]
        own = Path("/proc/self/ns/mnt").readlink()
        while Path(f"/proc/{pid}/ns/mnt").readlink() == own:
            time.sleep(0.01)
        # Volumes of pods that are to see each other's mounts need a shared root.
        call(*self.inside, "mount", "--make-rshared", "/")
        for path in _OWN_FOLDERS:
            self.lay_over(path)

    def lay_over(self, path: str) -> Path:
        """Lay a folder of the node's own over one of the machine's; returns where it is."""
        own = self._own(path)
        own.mkdir()
        Path(path).mkdir(parents=True, exist_ok=True)
        call(*self.inside, "mount", "--bind", own, path)
        return own

    def _own(self, path: str) -> Path:
        """Return where the node's own folder is for everybody else."""
        return self.folder / path.strip("/").replace("/", "-")

    def _write_containerd(self, pause: str, snapshotter: Path | None) -> None:
        text = _CONTAINERD.format(
            pause=pause, cni=_CNI_PROGRAMS, snapshotter="stargz" if snapshotter else "overlayfs"
        )
        text += _PROXY.format(address=_SNAPSHOTTER_SOCKET) if snapshotter else ""
        settings = self._own("/etc/containerd")
        (settings / "config.toml").write_text(text)
        # The registry of the tests speaks plain HTTP.
        registry = pause.partition("/")[0]
        hosts = settings / "certs.d" / registry
        hosts.mkdir(parents=True)
        (hosts / "hosts.toml").write_text(f'[host."http://{registry}"]\n')
        plugin = {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/containerd/pods",
                "ranges": [[{"subnet": "10.79.0.0/16"}]],
            },
        }
        network = {"cniVersion": "0.3.1", "name": "pods", "plugins": [plugin]}
        (self._own("/etc/cni") / "net.d").mkdir()
        (self._own("/etc/cni") / "net.d/pods.conflist").write_text(json.dumps(network))

    def _kubelet_settings(self) -> dict[str, object]:
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "clusterDNS": ["10.80.0.10"],
            "cgroupRoot": f"/{self._namespace}",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "featureGates": {"KubeletInUserNamespace": True},
            "oomScoreAdj": 0,
            "evictionHard": {"nodefs.available": "1%", "memory.available": "10Mi"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "2s",
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
        }

    def _is_containerd_up(self) -> bool:
        address = self._own("/run/containerd") / "containerd.sock"
        check = ["ctr", "-a", str(address), "version"]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    def _is_kubelet_up(self) -> bool:
        try:
            with socket.create_connection((self.address, _KUBELET_PORT), timeout=1):
                return True
        except OSError:
            return False
