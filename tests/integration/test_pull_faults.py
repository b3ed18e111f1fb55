"""A node whose disk is full fails its pull, leaves nothing there, and goes on with the next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullstudy.pulls.backend import ClusterPlan, Trial
from pullstudy.pulls.embedded import Embedded
from pullstudy.pulls.images import PulledImage
from pullstudy.pulls.study import Run
from pullstudy.registry.server import serve_layout
from tests.conftest import skip_or_fail
from tests.integration.runtimes import run
from tests.unit.pulls.conftest import add_image, make_tar

pytestmark = pytest.mark.integration


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        skip_or_fail("a disk to fill needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder)
    yield folder
    run("umount", "--lazy", folder)


def test_a_full_disk_fails_one_pull(small_disk: Path, tmp_path: Path) -> None:
    add_image(tmp_path / "layout", "large", [make_tar({"f": os.urandom(3_000_000)})])
    # Its blob has room, what it unpacks to has none.
    add_image(tmp_path / "layout", "zeros", [make_tar({"f": bytes(9_000_000)})])
    add_image(tmp_path / "layout", "small", [make_tar({"f": os.urandom(100_000)})])
    settings = Run(name="r", images=(), options={"store": str(small_disk)})
    plan = ClusterPlan("s", "r", settings, "plain", 1)
    with serve_layout(tmp_path / "layout") as address, Embedded().open(plan) as cluster:
        found = {}
        for tag in ("large", "zeros", "small"):
            image = PulledImage(reference=f"{address}/t/pulled:{tag}")
            [pull] = cluster.pull(Trial(plan, image, 1)).pulls
            found[tag] = (pull.outcome, pull.error)
            assert not list(next(small_disk.iterdir()).iterdir())
    full = ("failed", "No space left on device")
    assert found == {"large": full, "zeros": full, "small": ("pulled", None)}
