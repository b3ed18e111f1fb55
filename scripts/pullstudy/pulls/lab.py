"""Nodes on one machine: each a namespace of the network with a containerd of its own. Needs root.

A bridge joins them to the registry. The limits of a run hold for each node: a token bucket of the
kernel on both ends of its cable, a disk of its own that is throttled, latency on the wire to the
registry. Keys of `options`: `store`, folder of images and disks; `cache`: a pull-through cache
(Debian's docker-registry) stands before the registry, `cold` when an image is pulled, or `warm`.

Two CPUs are soon what is measured: results name the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.delay import serve_wire
from pullstudy.pulls.lab_claim import LabClaim, claim_lab
from pullstudy.pulls.lab_parts import make_disk, make_network, unmount_below
from pullstudy.pulls.stargz import build_snapshotter
from pullstudy.pulls.study import PullStudyError

LAB_OPTIONS = ("store", "cache")
COLD, WARM = "cold", "warm"
NO_LIMIT = "not limited"
_START_SECONDS = 60.0
_END_SECONDS = 20.0
_CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
"""
_STARGZ = """
[proxy_plugins.stargz]
  type = "snapshot"
  address = "{socket}"
"""


class LabNode(msgspec.Struct):
    """A containerd that can be asked.

    containers: what the names of its containers begin with: runc knows those of all nodes of a
    machine by their names alone. inside: words before a command that is to run on the node.
    renew: makes its streaming cache empty again.
    """

    name: str
    socket: str
    containers: str
    inside: tuple[str, ...] = ()
    store: Path = Path("/var/lib")
    disk: str | None = None
    renew: Callable[[], None] | None = None


class Lab(msgspec.Struct):
    """registry: base URL that the nodes ask. empty_cache: makes the cache before it cold again."""

    registry: str
    nodes: list[LabNode]
    empty_cache: Callable[[], None] | None = None


@contextlib.contextmanager
def open_lab(plan: ClusterPlan, *, with_snapshotter: bool) -> Iterator[Lab]:
    """Make the nodes of a cluster, and take everything away again.

    Raises PullStudyError, or PullError when this machine cannot have them.
    """
    if plan.mirror is None or urlsplit(plan.mirror).scheme != "http":
        raise PullStudyError(
            "key 'registry': nodes that are made here reach `serve` or a `mirror` of http only"
        )
    options, settings = plan.settings.options, plan.settings
    with contextlib.ExitStack() as stack:
        claim = stack.enter_context(claim_lab(options.get("store")))
        rate = settings.limits.bandwidth_mbit_per_second
        network = make_network(claim.number, plan.size, rate)
        upstream = urlsplit(plan.mirror).netloc
        latency = settings.registry.latency_seconds
        address = stack.enter_context(serve_wire(network.address, upstream, latency))
        cache = None
        if options.get("cache"):
            cache = _Cache(claim.folder, network.address, address)
            stack.callback(cache.stop)
            cache.start()
            address = cache.address
        program = build_snapshotter() if with_snapshotter else None
        nodes = [
            stack.enter_context(_run_node(plan, claim, name, namespace, program, address))
            for name, namespace in zip(_names(plan.size), network.namespaces, strict=True)
        ]
        yield Lab(f"http://{address}", nodes, cache.empty if cache else None)


def _names(size: int) -> list[str]:
    return [f"node-{number}" for number in range(1, size + 1)]


@contextlib.contextmanager
def _run_node(
    plan: ClusterPlan,
    claim: LabClaim,
    name: str,
    namespace: str,
    snapshotter: Path | None,
    registry: str,
) -> Iterator[LabNode]:
    limits, folder = plan.settings.limits, claim.folder / name
    folder.mkdir()
    disk = NO_LIMIT
    if limits.disk_mb_per_second or limits.disk_operations_per_second:
        disk = make_disk(folder, folder / "root", limits)
    inside = ["nsenter", f"--net=/var/run/netns/{namespace}"]
    daemons = _Daemons(folder, claim.sockets / name, inside, snapshotter, registry)
    try:
        daemons.start()
        renew = None if snapshotter is None else daemons.renew
        containers = f"{claim.folder.name}-{name}"
        yield LabNode(name, daemons.socket, containers, tuple(inside), folder, disk, renew)
    finally:
        daemons.stop()


class _Daemons:
    """The containerd of a node, and its stargz snapshotter if it has one.

    sockets: what the paths of their sockets begin with.
    """

    def __init__(
        self,
        folder: Path,
        sockets: Path,
        inside: list[str],
        snapshotter: Path | None,
        registry: str,
    ) -> None:
        self.socket = f"{sockets}.c"
        self._lazy_socket = Path(f"{sockets}.s")
        self._folder = folder
        self._inside = inside
        self._snapshotter = snapshotter
        self._registry = registry
        self._stack = contextlib.ExitStack()
        config = _CONFIG.format(folder=folder, socket=self.socket)
        if snapshotter is not None:
            config += _STARGZ.format(socket=self._lazy_socket)
        (folder / "config.toml").write_text(config)

    def start(self) -> None:
        """Start them; the snapshotter has an empty root."""
        if self._snapshotter is not None:
            root, path = self._folder / "stargz", self._lazy_socket
            path.unlink(missing_ok=True)
            root.mkdir()
            command = [*self._inside, str(self._snapshotter), str(root), str(path), self._registry]
            self._stack.enter_context(run_daemon(command, self._folder, path.exists, "stargz"))
        command = [*self._inside, "containerd", "-c", str(self._folder / "config.toml")]
        self._stack.enter_context(run_daemon(command, self._folder, lambda: _answers(self.socket)))

    def stop(self) -> None:
        """Stop them and unmount what they mounted."""
        self._stack.close()
        unmount_below(self._folder / "stargz")

    def renew(self) -> None:
        """Forget everything: a snapshotter keeps what it has read even of a removed image."""
        self.stop()
        for name in ("stargz", "root", "state"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        self.start()


class _Cache:
    """A pull-through cache before a registry, at `address` (host:port)."""

    def __init__(self, folder: Path, host: str, upstream: str) -> None:
        with socket.create_server((host, 0)) as probe:
            self.address = f"{host}:{probe.getsockname()[1]}"
        self._folder = folder
        self._stack = contextlib.ExitStack()
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "cache")}},
            "http": {"addr": self.address},
            "proxy": {"remoteurl": f"http://{upstream}"},
        }
        (folder / "cache.yml").write_text(json.dumps(config))

    def start(self) -> None:
        """Start it."""
        command = ["docker-registry", "serve", str(self._folder / "cache.yml")]
        self._stack.enter_context(run_daemon(command, self._folder, self._is_up, "cache"))

    def stop(self) -> None:
        """Stop it."""
        self._stack.close()

    def empty(self) -> None:
        """Forget all images."""
        self.stop()
        shutil.rmtree(self._folder / "cache", ignore_errors=True)
        self.start()

    def _is_up(self) -> bool:
        host, _, port = self.address.rpartition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0


@contextlib.contextmanager
def run_daemon(
    command: list[str], folder: Path, is_up: Callable[[], bool], name: str = "daemon"
) -> Iterator[None]:
    """Run a daemon until the block ends; what it says goes to a file. Raises PullError."""
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        try:
            daemon = subprocess.Popen(command, stdout=file, stderr=file, preexec_fn=_end_with_us)
        except OSError as exc:
            raise PullError(f"{command[0]}: {exc.strerror}; install it and run again") from exc
    try:
        end = time.monotonic() + _START_SECONDS
        while not is_up():
            if daemon.poll() is not None or time.monotonic() > end:
                said = log.read_text(errors="replace").strip().rpartition("\n")[2]
                raise PullError(f"{' '.join(command[:3])} does not start: {said[:300]}")
            time.sleep(0.05)
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _end_with_us() -> None:
    """Let the kernel end a daemon when its runner is killed (prctl PR_SET_PDEATHSIG)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _answers(address: str) -> bool:
    if not os.path.exists(address):  # noqa: PTH110
        return False
    check = ["ctr", "--address", address, "version"]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0
