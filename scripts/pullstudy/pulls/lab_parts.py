"""Parts of the lab that the kernel makes: a network with capped cables, and throttled disks.

Source: Linux documentation, "tc-tbf(8)" and "Block IO Controller" (control groups version 1).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.study import Limits

_BLKIO = Path("/sys/fs/cgroup/blkio")
_DISK_BYTES = 20 * 10**9
# Dirty pages of a throttled disk: with more of them small images would never feel it.
_DIRTY_BYTES_MAX = 32 << 20


class Network(msgspec.Struct):
    """address: of this machine, on the bridge. namespaces: one for each node."""

    address: str
    namespaces: list[str]


@contextlib.contextmanager
def make_network(size: int, mbit_per_second: float | None) -> Iterator[Network]:
    """Make a bridge and so many namespaces, and take them away again. Raises PullError."""
    taken = run_tool("ip", "-o", "address", "show")
    number = next((n for n in range(1, 250) if f"10.77.{n}.1/" not in taken), None)
    if number is None:
        raise PullError("no network 10.77.N.0/24 is free; end other labs first")
    bridge, address = f"plab{number}", f"10.77.{number}.1"
    with contextlib.ExitStack() as stack:
        run_tool("ip", "link", "add", bridge, "type", "bridge")
        stack.callback(run_tool, "ip", "link", "delete", bridge, check=False)
        run_tool("ip", "address", "add", f"{address}/24", "dev", bridge)
        run_tool("ip", "link", "set", bridge, "up")
        network = Network(address, [])
        for order in range(size):
            name = f"plab{number}-{order}"
            run_tool("ip", "netns", "add", name)
            stack.callback(run_tool, "ip", "netns", "delete", name, check=False)
            outside = f"plab{number}v{order}"
            run_tool(
                "ip", "link", "add", outside, "type", "veth",
                "peer", "name", "eth0", "netns", name,
            )  # fmt: skip
            stack.callback(run_tool, "ip", "link", "delete", outside, check=False)
            run_tool("ip", "link", "set", outside, "master", bridge, "up")
            inside = f"10.77.{number}.{11 + order}/24"
            run_tool("ip", "-n", name, "address", "add", inside, "dev", "eth0")
            run_tool("ip", "-n", name, "link", "set", "eth0", "up")
            run_tool("ip", "-n", name, "link", "set", "lo", "up")
            if mbit_per_second:
                _cap(["tc"], outside, mbit_per_second)
                _cap(["tc", "-n", name], "eth0", mbit_per_second)
            network.namespaces.append(name)
        yield network


def _cap(tool: list[str], device: str, mbit_per_second: float) -> None:
    rate = f"{round(mbit_per_second * 1e6)}bit"
    bucket = ["tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
    run_tool(*tool, "qdisc", "add", "dev", device, "root", *bucket)


@contextlib.contextmanager
def make_disk(folder: Path, mounted: Path, limits: Limits) -> Iterator[str]:
    """Mount a throttled disk; gives its description for the column `boot_disk`.

    Raises PullError when the kernel has no throttling by control groups of version 1.
    """
    if not (_BLKIO / "blkio.throttle.write_bps_device").exists():
        raise PullError("key 'limits': this kernel throttles no disks (blkio, control groups v1)")
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    with contextlib.ExitStack() as stack:
        stack.callback(image.unlink, missing_ok=True)
        device = run_tool("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()
        stack.callback(run_tool, "losetup", "--detach", device, check=False)
        run_tool("mkfs.ext4", "-q", device)
        mounted.mkdir()
        run_tool("mount", device, str(mounted))
        stack.callback(run_tool, "umount", "--lazy", str(mounted), check=False)
        rdev = Path(device).stat().st_rdev
        numbers = f"{os.major(rdev)}:{os.minor(rdev)}"
        bytes_per_second = round((limits.disk_mb_per_second or 0) * 1e6)
        for what, limit in (
            ("bps", bytes_per_second),
            ("iops", limits.disk_operations_per_second or 0),
        ):
            for way in ("read", "write"):
                control = _BLKIO / f"blkio.throttle.{way}_{what}_device"
                # Zero takes a limit away.
                control.write_text(f"{numbers} {limit}")
                stack.callback(control.write_text, f"{numbers} 0")
        bdi = Path("/sys/class/bdi") / numbers
        with contextlib.suppress(OSError):
            (bdi / "strict_limit").write_text("1")
            (bdi / "max_bytes").write_text(str(_DIRTY_BYTES_MAX))
        speed = f"{limits.disk_mb_per_second:g} MB/s" if limits.disk_mb_per_second else "throttled"
        yield f"loop {speed}"


def run_tool(*command: str, check: bool = True) -> str:
    """Run a tool and return what it says. Raises PullError with its complaint."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise PullError(f"{command[0]}: {exc.strerror}; install it and run again") from exc
    if check and done.returncode:
        raise PullError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
