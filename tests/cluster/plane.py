"""The control plane of the test cluster: etcd, API server, controllers, scheduler."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from tests.cluster.daemons import Daemon, call

ADMIN = "admin"
_CONTROLLERS = (
    "daemonset-controller", "garbage-collector-controller", "job-controller",
    "namespace-controller", "node-lifecycle-controller", "pod-garbage-collector-controller",
    "root-ca-certificate-publisher-controller", "serviceaccount-controller",
    "taint-eviction-controller", "ttl-after-finished-controller",
)  # fmt: skip


class ControlPlane:
    """`start` brings it up; each part is a `Daemon` of its own."""

    def __init__(self, folder: Path, programs: Path, address: str) -> None:
        """address: where nodes reach the API server, over TLS with its own certificate."""
        self.url = f"https://{address}:{free_port(address)}"
        self._folder = folder
        self._programs = programs
        self._address = address
        self._tokens: dict[str, tuple[str, str]] = {}
        for user, group in (
            (ADMIN, "system:masters"),
            ("system:kube-controller-manager", ""),
            ("system:kube-scheduler", ""),
        ):
            self.add_user(user, group)
        self.etcd_url = f"http://127.0.0.1:{free_port()}"
        self.etcd = self._make_etcd()
        self.apiserver = self._make_apiserver()
        self.controllers = self._make_controllers()
        self.scheduler = self._make_scheduler()

    def add_user(self, user: str, group: str = "") -> None:
        """Let a user in; its rights are RBAC's to give. The API server must not run yet."""
        self._tokens[user] = (secrets.token_hex(16), group)

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """Write a kubeconfig for a user."""
        token, _ = self._tokens[user]
        cluster = {
            "server": self.url,
            "certificate-authority": str(self._folder / "pki/apiserver.crt"),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "current-context": "lab",
        }
        path = self._folder / f"{user.replace(':', '-')}.kubeconfig"
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        return path

    def start(self) -> None:
        """Start all parts; they answer when this returns."""
        key = self._folder / "accounts.key"
        call("openssl", "genrsa", "-out", key, "2048")
        (self._folder / "tokens.csv").write_text(
            "".join(f'{t},{user},{user},"{group}"\n' for user, (t, group) in self._tokens.items())
        )
        self.etcd.start()
        self.etcd.wait()
        self.apiserver.start()
        self.apiserver.wait()
        for part in (self.controllers, self.scheduler):
            part.start()

    def stop(self) -> None:
        """Stop all parts."""
        for part in (self.scheduler, self.controllers, self.apiserver, self.etcd):
            part.stop()

    def ask(self, path: str) -> bytes:
        """GET a path of the API as administrator; raises OSError when it does not answer."""
        token, _ = self._tokens[ADMIN]
        request = urllib.request.Request(
            f"{self.url}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        context = ssl.create_default_context(cafile=str(self._folder / "pki/apiserver.crt"))
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            content: bytes = answer.read()
        return content

    def compact(self) -> None:
        """Make etcd forget all but the newest state: watches from before have expired."""
        status = self._ask_etcd("/v3/maintenance/status", {})
        revision = status["header"]["revision"]
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    def _ask_etcd(self, path: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        request = urllib.request.Request(f"{self.etcd_url}{path}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            decoded: dict[str, dict[str, str]] = json.load(answer)
        return decoded

    def _make_etcd(self) -> Daemon:
        peer = f"http://127.0.0.1:{free_port()}"
        return Daemon(
            [
                "etcd",
                f"--data-dir={self._folder}/etcd",
                f"--listen-client-urls={self.etcd_url}",
                f"--advertise-client-urls={self.etcd_url}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                # Nothing here must outlive a crash of the machine, and the disk is shared.
                "--unsafe-no-fsync",
            ],
            self._folder, lambda: _answers(f"{self.etcd_url}/health"),
        )  # fmt: skip

    def _make_apiserver(self) -> Daemon:
        key = self._folder / "accounts.key"
        return Daemon(
            [
                self._programs / "kube-apiserver",
                f"--etcd-servers={self.etcd_url}",
                f"--bind-address={self._address}",
                f"--secure-port={self.url.rpartition(':')[2]}",
                f"--cert-dir={self._folder}/pki",
                f"--token-auth-file={self._folder}/tokens.csv",
                "--authorization-mode=Node,RBAC",
                "--allow-privileged",
                "--kubelet-preferred-address-types=InternalIP",
                "--service-cluster-ip-range=10.80.0.0/24",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
            ],
            self._folder, self._is_ready,
        )  # fmt: skip

    def _make_controllers(self) -> Daemon:
        return Daemon(
            [
                self._programs / "kube-controller-manager",
                f"--kubeconfig={self.kubeconfig('system:kube-controller-manager')}",
                f"--service-account-private-key-file={self._folder}/accounts.key",
                f"--root-ca-file={self._folder}/pki/apiserver.crt",
                f"--controllers={','.join(_CONTROLLERS)}",
                "--use-service-account-credentials",
                "--leader-elect=false",
                "--node-monitor-period=1s",
                "--node-monitor-grace-period=10s",
                f"--secure-port={free_port()}",
                f"--cert-dir={self._folder}/pki",
            ],
            self._folder, lambda: True,
        )  # fmt: skip

    def _make_scheduler(self) -> Daemon:
        return Daemon(
            [
                self._programs / "kube-scheduler",
                f"--kubeconfig={self.kubeconfig('system:kube-scheduler')}",
                "--leader-elect=false",
                # A pod whose binding the API server did not take is tried again; by default after
                # 5 minutes, which is longer than a test.
                "--pod-max-in-unschedulable-pods-duration=5s",
                f"--secure-port={free_port()}",
                f"--cert-dir={self._folder}/pki-scheduler",
            ],
            self._folder, lambda: True,
        )  # fmt: skip

    def _is_ready(self) -> bool:
        try:
            return self.ask("/readyz") == b"ok"
        except (OSError, ssl.SSLError):
            return False


def free_port(address: str = "127.0.0.1") -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (OSError, urllib.error.URLError):
        return False
