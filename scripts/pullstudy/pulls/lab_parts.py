"""Parts of the lab that the kernel makes: a network with capped cables, and throttled disks.

Source: Linux documentation, "tc-tbf(8)" and "Block IO Controller" (control groups version 1).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.study import Limits

_BLKIO = Path("/sys/fs/cgroup/blkio")
_NAMESPACES = Path("/run/netns")
_LINKS = Path("/sys/class/net")
_DISK_BYTES = 20 * 10**9
# Dirty pages of a throttled disk: with more of them small images would never feel it.
_DIRTY_BYTES_MAX = 32 << 20


class Network(msgspec.Struct):
    """address: of this machine, on the bridge. namespaces: one for each node."""

    address: str
    namespaces: list[str]


def make_network(number: int, size: int, mbit_per_second: float | None) -> Network:
    """Make the bridge of a lab and so many namespaces on capped cables. Raises PullError.

    `delete_network` takes them away again, also what was made of them before it failed.
    """
    bridge, address = _bridge_of(number), f"10.77.{number}.1"
    run_tool("ip", "link", "add", bridge, "type", "bridge")
    run_tool("ip", "address", "add", f"{address}/24", "dev", bridge)
    run_tool("ip", "link", "set", bridge, "up")
    network = Network(address, [])
    for order in range(size):
        name, outside = f"{bridge}-{order}", f"{bridge}v{order}"
        run_tool("ip", "netns", "add", name)
        run_tool(
            "ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name
        )
        run_tool("ip", "link", "set", outside, "master", bridge, "up")
        inside = f"10.77.{number}.{11 + order}/24"
        run_tool("ip", "-n", name, "address", "add", inside, "dev", "eth0")
        run_tool("ip", "-n", name, "link", "set", "eth0", "up")
        run_tool("ip", "-n", name, "link", "set", "lo", "up")
        if mbit_per_second:
            _cap(["tc"], outside, mbit_per_second)
            _cap(["tc", "-n", name], "eth0", mbit_per_second)
        network.namespaces.append(name)
    return network


def list_network(number: int) -> list[str]:
    """Return what there is of a lab's network: `namespace NAME` and `link NAME`."""
    bridge = _bridge_of(number)
    spaces = [path.name for path in _NAMESPACES.glob(f"{bridge}-*")]
    links = [path.name for path in _LINKS.glob(f"{bridge}v*")]
    links += [bridge] if (_LINKS / bridge).exists() else []
    return [f"namespace {name}" for name in sorted(spaces)] + [
        f"link {name}" for name in sorted(links, reverse=True)
    ]


def delete_network(number: int) -> None:
    """Take away what there is of a lab's network."""
    for part in list_network(number):
        kind, _, name = part.partition(" ")
        command = ("ip", "netns") if kind == "namespace" else ("ip", "link")
        run_tool(*command, "delete", name, check=False)


def _bridge_of(number: int) -> str:
    return f"plab{number}"


def _cap(tool: list[str], device: str, mbit_per_second: float) -> None:
    rate = f"{round(mbit_per_second * 1e6)}bit"
    bucket = ["tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
    run_tool(*tool, "qdisc", "add", "dev", device, "root", *bucket)


def make_disk(folder: Path, mounted: Path, limits: Limits) -> str:
    """Mount a throttled disk; returns its description for the column `boot_disk`.

    `release_disk` gives it back when it is no longer mounted. Raises PullError when the kernel has
    no throttling by control groups of version 1.
    """
    if not (_BLKIO / "blkio.throttle.write_bps_device").exists():
        raise PullError("key 'limits': this kernel throttles no disks (blkio, control groups v1)")
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    device = _make_loop_device(image)
    run_tool("mkfs.ext4", "-q", device)
    mounted.mkdir()
    run_tool("mount", device, str(mounted))
    _throttle(device, limits)
    with contextlib.suppress(OSError):
        bdi = Path("/sys/class/bdi") / _numbers_of(device)
        (bdi / "strict_limit").write_text("1")
        (bdi / "max_bytes").write_text(str(_DIRTY_BYTES_MAX))
    said = (
        f"{limits.disk_mb_per_second:g} MB/s" if limits.disk_mb_per_second else "",
        f"{limits.disk_operations_per_second} IOPS" if limits.disk_operations_per_second else "",
    )
    return ", ".join(filter(None, said))


def _make_loop_device(image: Path) -> str:
    """Return a loop device, past the page cache where the file system below can do that."""
    command = ("losetup", "--find", "--show")
    try:
        return run_tool(*command, "--direct-io=on", str(image)).strip()
    except PullError:
        return run_tool(*command, str(image)).strip()


def find_disks(folder: Path) -> list[str]:
    """Return the loop devices whose files lie below a folder, also such as are deleted."""
    listed = run_tool("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")
    pairs = [line.split(maxsplit=1) for line in listed.splitlines()]
    return [pair[0] for pair in pairs if len(pair) > 1 and pair[1].startswith(f"{folder}/")]


def release_disk(device: str) -> None:
    """Take the limits of a loop device away, and give it back."""
    with contextlib.suppress(OSError):
        _throttle(device, Limits())
    run_tool("losetup", "--detach", device, check=False)


def _throttle(device: str, limits: Limits) -> None:
    """Limit reading and writing each; what has no limit gets zero, which takes one away."""
    bytes_per_second = round((limits.disk_mb_per_second or 0) * 1e6)
    operations = limits.disk_operations_per_second or 0
    for what, limit in (("bps", bytes_per_second), ("iops", operations)):
        for way in ("read", "write"):
            control = _BLKIO / f"blkio.throttle.{way}_{what}_device"
            control.write_text(f"{_numbers_of(device)} {limit}")


def _numbers_of(device: str) -> str:
    number = Path(device).stat().st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def unmount_below(folder: Path) -> list[str]:
    """Take away what is mounted below a folder, the deepest first; returns what was."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True)
    for mount in found:
        run_tool("umount", "--lazy", mount, check=False)
    return found


def run_tool(*command: str, check: bool = True) -> str:
    """Run a tool and return what it says. Raises PullError with its complaint."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise PullError(f"{command[0]}: {exc.strerror}; install it and run again") from exc
    if check and done.returncode:
        raise PullError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
