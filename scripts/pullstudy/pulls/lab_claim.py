"""What a lab is known by: a number of its own, while its runner lives, and what dead ones left.

Everything that a lab makes on a machine bears its number or lies in its folder, and both stand in
a file that its runner holds locked. The kernel opens that lock when the runner ends, however it
ends: who gets it may take away all that the file names, and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.lab_parts import (
    delete_network,
    find_disks,
    list_network,
    release_disk,
    run_tool,
    unmount_below,
)

_CLAIMS = Path("/run/pullstudy")
_NUMBERS = range(1, 250)
_END_SECONDS = 10.0
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Programs that a lab runs outside of its namespaces too, as their names begin.
_DAEMONS = (b"containerd", b"docker-registry", b"stargz-snapshotter")
# containerd's shims keep it there wherever the state of containerd is.
_RUNC_STATE = Path("/run/containerd/runc")


class LabClaim(msgspec.Struct, frozen=True):
    """number: of the network 10.77.N.0/24. folder: of everything that is a file."""

    number: int
    folder: Path

    @property
    def sockets(self) -> Path:
        """Return a path that fits into `sockaddr_un` (unix(7)) whatever the folder is called."""
        return _CLAIMS / f"lab-{self.number}"


@contextlib.contextmanager
def claim_lab(store: str | None) -> Iterator[LabClaim]:
    """Take a number and a folder below `store`; what dead labs have left is taken away before.

    Raises PullError.
    """
    for _ in clear_dead_labs():
        pass
    taken = run_tool("ip", "-o", "address", "show")
    for number in _NUMBERS:
        if f"10.77.{number}.1/" in taken:
            continue
        with _lock(number) as file:
            if file is None:
                continue
            name = f"pullstudy-lab-{secrets.token_hex(4)}"
            claim = LabClaim(number, Path(store or tempfile.gettempdir()).resolve() / name)
            # Written down first: a folder that is not known would stay for ever.
            os.write(file, json.dumps({"folder": str(claim.folder)}).encode())
            try:
                _make_folder(claim.folder)
                _make_folder(claim.sockets)
                yield claim
            finally:
                for _ in _clear(claim):
                    pass
        return
    raise PullError("no network 10.77.N.0/24 is free; end other labs first")


def clear_dead_labs() -> Iterator[str]:
    """Take away what labs left whose runners were killed; yields, line by line, what.

    Raises PullError.
    """
    for path in sorted(_CLAIMS.glob("lab-*.json")):
        number = int(path.stem.removeprefix("lab-"))
        with _lock(number) as file:
            # One that was killed before it wrote had made nothing.
            record = os.read(file, 1 << 16) if file is not None else b""
            if record:
                yield from _clear(LabClaim(number, Path(json.loads(record)["folder"])))
            elif file is not None:
                path.unlink()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except OSError as exc:
        raise PullError(f"{folder}: {exc.strerror}; choose another 'options.store'") from exc


def _path_of(number: int) -> Path:
    return _CLAIMS / f"lab-{number}.json"


@contextlib.contextmanager
def _lock(number: int) -> Iterator[int | None]:
    """Hold the file of a number; None: a living lab has it."""
    path = _path_of(number)
    try:
        _CLAIMS.mkdir(exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise PullError(f"{path}: cannot be written: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            # Between opening and locking it another lab may have ended, and the file with it.
            yield file if os.fstat(file).st_nlink else None
    finally:
        os.close(file)


def _clear(claim: LabClaim) -> Iterator[str]:
    """Take away what a lab has made, its processes first; yields what there was."""
    for pid in _kill_processes(claim):
        yield f"process {pid}"
    yield from _remove_containers(claim)
    for mount in unmount_below(claim.folder):
        yield f"mount {mount}"
    for device in find_disks(claim.folder):
        release_disk(device)
        yield f"loop device {device}"
    yield from list_network(claim.number)
    delete_network(claim.number)
    if claim.folder.exists():
        shutil.rmtree(claim.folder, ignore_errors=True)
        yield f"folder {claim.folder}"
    shutil.rmtree(claim.sockets, ignore_errors=True)
    _path_of(claim.number).unlink(missing_ok=True)


def _find_processes(claim: LabClaim) -> set[int]:
    """Return what lives in the lab's namespaces, its daemons elsewhere, and its containers."""
    found: set[int] = set()
    for part in list_network(claim.number):
        kind, _, name = part.partition(" ")
        if kind == "namespace":
            found |= set(map(int, run_tool("ip", "netns", "pids", name, check=False).split()))
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, *arguments = (entry / "cmdline").read_bytes().split(b"\0")
            is_ours = any(word.startswith(f"{claim.folder}/".encode()) for word in arguments)
            if is_ours and program.rpartition(b"/")[2].startswith(_DAEMONS):
                found.add(int(entry.name))
    for group in _control_groups(claim):
        with contextlib.suppress(OSError):
            found |= set(map(int, (group / "cgroup.procs").read_text().split()))
    return found


def _kill_processes(claim: LabClaim) -> list[int]:
    """End what lives in a lab, and wait until it has; returns what did."""
    killed: set[int] = set()
    end = time.monotonic() + _END_SECONDS
    while (pids := _find_processes(claim)) and time.monotonic() < end:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= pids
        time.sleep(0.05)
    return sorted(killed)


def _control_groups(claim: LabClaim) -> list[Path]:
    """Return those of the lab's containers, whose names begin with that of its folder."""
    # Version 1 has controller/namespace/container, version 2 namespace/container.
    name = f"{claim.folder.name}-*"
    return [*_CONTROL_GROUPS.glob(f"*/*/{name}"), *_CONTROL_GROUPS.glob(f"*/{name}")]


def _remove_containers(claim: LabClaim) -> Iterator[str]:
    """Remove what shims and runc keep of containers outside of the lab's folder."""
    # A shim writes down its socket in the bundle of its container.
    for address in claim.folder.glob("*/state/io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    states = list(_RUNC_STATE.glob(f"*/{claim.folder.name}-*"))
    groups = _control_groups(claim)
    for state in states:
        shutil.rmtree(state, ignore_errors=True)
    for group in groups:
        with contextlib.suppress(OSError):
            group.rmdir()
    for name in sorted({path.name for path in (*states, *groups)}):
        yield f"container {name}"
