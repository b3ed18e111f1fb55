"""A real cluster for all tests of this folder: two nodes, with images that the package crafted."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.craft.study import Surroundings
from pullstudy.pulls.kubernetes.connect import Api, connect
from tests.cluster.lab import PROGRAMS, Lab, run_lab
from tests.conftest import skip_or_fail

GUEST = "guest"
CRAFTED = """
sizes: [{total: 3000001}, {total: 6000001}]
layers: [{exact: 3}]
files_per_layer: 4
reads: 100%
"""

WriteStudy = Callable[..., Path]

_HERE = Path(__file__).parent
# The cluster that runs. A fixture of the scope of a package would do, but the package would be
# called kubernetes, as the client is.
_RUNNING = contextlib.ExitStack()


def check_programs() -> None:
    """Skip (fail in CI) unless a cluster can be brought up here."""
    if os.geteuid() != 0:
        skip_or_fail("a cluster of network namespaces needs root")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            skip_or_fail(f"{program} is not installed")


def check_compiler() -> None:
    """Skip (fail in CI) unless the daemons of lazy snapshotters can be built here."""
    zlib = Path("/usr/include/zlib.h")
    if shutil.which("gcc") is None or not zlib.exists():
        skip_or_fail("gcc or zlib1g-dev is not installed")


@pytest.fixture(scope="session")
def lab() -> Lab:
    check_programs()
    return _RUNNING.enter_context(run_lab(nodes=2, users=[GUEST]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """End the cluster after the last test here: all that come later need the machine."""
    try:
        return (yield)
    finally:
        if nextitem is None or _HERE not in nextitem.path.parents:
            _RUNNING.close()


@pytest.fixture(scope="session")
def images(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """References of two crafted images."""
    folder = tmp_path_factory.mktemp("craft")
    (folder / "craft.yaml").write_text(CRAFTED)
    settings = CraftSettings(
        "push",
        around=Surroundings(f"{lab.registry}/crafted"),
        plain_http=True,
        journal=folder / "journal.jsonl",
    )
    crafted = craft_study(folder / "craft.yaml", settings)
    return [f"{lab.registry}/crafted:{image.planned.cell.tag}" for image in crafted]


@pytest.fixture
def api(lab: Lab) -> Api:
    return connect(str(lab.plane.kubeconfig()))


@pytest.fixture
def write_study(lab: Lab, images: list[str], tmp_path: Path) -> WriteStudy:
    """Write a study of the lab's cluster; keywords replace what it says by default."""

    def write(name: str, *, options: dict[str, Any] | None = None, **more: Any) -> Path:
        own = {"cleaner_image": lab.busybox}
        document = {
            "study": name,
            "nodes": 2,
            "images": images,
            "endpoints": [str(lab.plane.kubeconfig())],
            "registry": {"plain_http": True},
            "limits": {"timeout_seconds": 120},
            "options": own | (options or {}),
        } | more
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write
