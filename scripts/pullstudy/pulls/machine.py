"""What this machine is, for backends whose nodes live on it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.record import Node


def describe_node(plan: ClusterPlan, name: str, runtime: str, store: Path) -> Node:
    """Make the row of a node on this machine; store: folder that holds its images."""
    return Node(
        **plan.common(),
        node=name,
        cpus=os.cpu_count(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        storage_bytes=shutil.disk_usage(store).total,
        kernel=platform.release(),
        os_image=_name_system(),
        container_runtime=runtime,
    )


def this_machine() -> str:
    """Name this machine for the column `platform`: `local/x86_64-2-cpus`."""
    return f"local/{platform.machine()}-{os.cpu_count()}-cpus"


def _name_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()
