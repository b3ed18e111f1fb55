"""A node of the test cluster: containerd and kubelet in a network namespace.

Several of them share one machine, its kernel and its file system; each has its own folders. The
machine may lack CAP_SYS_RESOURCE, hence KubeletInUserNamespace and restrict_oom_score_adj.
"""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

from tests.cluster.daemons import Daemon, call

_CNI_PROGRAMS = "/usr/lib/cni"
_KUBELET_PORT = 10250

_CONTAINERD = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    disable_snapshot_annotations = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/hosts"
{more}
"""
_PROXY = """
[proxy_plugins.stargz]
  type = "snapshot"
  address = "{address}"
"""


class Node:
    """One node; `start` brings it up, `stop` ends it with all its containers."""

    def __init__(self, name: str, folder: Path, namespace: str, address: str) -> None:
        self.name = name
        self.address = address
        self.socket = folder / "containerd.sock"
        self.containerd: Daemon
        self.kubelet: Daemon
        self._folder = folder
        self._namespace = namespace

    def prepare(
        self, kubelet: Path, kubeconfig: Path, pause: str, snapshotter: Path | None = None
    ) -> None:
        """Write all settings. pause: image of a pod's sandbox. snapshotter: socket of stargz."""
        for name in ("cni", "hosts", "kubelet", "pods", "logs"):
            (self._folder / name).mkdir(parents=True)
        self._write_containerd(pause, snapshotter)
        config = self._folder / "kubelet.json"
        config.write_text(json.dumps(self._kubelet_settings()))
        self.containerd = Daemon(
            ["containerd", "-c", self._folder / "config.toml"],
            self._folder, self._is_containerd_up, self._namespace,
        )  # fmt: skip
        self.kubelet = Daemon(
            [
                kubelet,
                f"--config={config}",
                f"--kubeconfig={kubeconfig}",
                f"--root-dir={self._folder}/kubelet",
                f"--cert-dir={self._folder}/kubelet/pki",
                f"--hostname-override={self.name}",
                f"--node-ip={self.address}",
            ],
            self._folder, self._is_kubelet_up, self._namespace,
        )  # fmt: skip

    def start(self) -> None:
        """Start both without waiting for the kubelet."""
        self.containerd.start()
        self.containerd.wait()
        self.kubelet.start()

    def stop(self) -> None:
        """End both, and the containers in between."""
        if not hasattr(self, "kubelet"):
            return
        self.kubelet.stop()
        for task in self.ctr("tasks", "list", "--quiet", check=False).split():
            self.ctr("tasks", "delete", "--force", task, check=False)
        self.containerd.stop()

    def ctr(self, *arguments: object, check: bool = True) -> str:
        """Run `ctr` on the node's containerd, where Kubernetes keeps its images."""
        return call("ctr", "-a", self.socket, "-n", "k8s.io", *arguments, check=check)

    def has_image(self, reference: str) -> bool:
        """Whether containerd knows an image."""
        return reference in self.ctr("images", "list", "--quiet", f"name=={reference}").split()

    def _write_containerd(self, pause: str, snapshotter: Path | None) -> None:
        text = _CONTAINERD.format(
            folder=self._folder,
            pause=pause,
            cni=_CNI_PROGRAMS,
            snapshotter="stargz" if snapshotter else "overlayfs",
            more=_PROXY.format(address=snapshotter) if snapshotter else "",
        )
        (self._folder / "config.toml").write_text(text)
        # The registry of the tests speaks plain HTTP.
        registry = pause.partition("/")[0]
        hosts = self._folder / "hosts" / registry
        hosts.mkdir()
        (hosts / "hosts.toml").write_text(f'[host."http://{registry}"]\n')
        ranges = [[{"subnet": "10.79.0.0/16"}]]
        plugin = {
            "type": "ptp",
            "ipam": {"type": "host-local", "dataDir": f"{self._folder}/pods", "ranges": ranges},
        }
        network = {"cniVersion": "0.3.1", "name": "pods", "plugins": [plugin]}
        (self._folder / "cni/pods.conflist").write_text(json.dumps(network))

    def _kubelet_settings(self) -> dict[str, object]:
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._namespace}",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "featureGates": {"KubeletInUserNamespace": True},
            "oomScoreAdj": 0,
            "podLogsDir": f"{self._folder}/logs",
            "registerNode": True,
            "evictionHard": {"nodefs.available": "1%", "memory.available": "10Mi"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "2s",
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
        }

    def _is_containerd_up(self) -> bool:
        check = ["ctr", "-a", str(self.socket), "version"]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    def _is_kubelet_up(self) -> bool:
        try:
            with socket.create_connection((self.address, _KUBELET_PORT), timeout=1):
                return True
        except OSError:
            return False
