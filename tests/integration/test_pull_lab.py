"""What a killed lab leaves behind, its next run or `--clean` takes away, and nothing else."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.pulls.lab_claim import claim_lab
from pullstudy.pulls.lab_parts import make_network
from tests.integration.conftest import find_program
from tests.integration.runtimes import require
from tests.integration.test_pull_engines import CRAFT, list_system

pytestmark = pytest.mark.integration

STUDY = """
study: s
nodes: 2
start: true
images: [{table: images.parquet}]
registry: {serve: layout}
limits: {bandwidth_mbit_per_second: 64, disk_mb_per_second: 80}
options: {cache: cold, store: STORE}
"""
# The first may come before the lab, the second while it is made, the third while it pulls.
KILLED_AFTER_SECONDS = [(0.5, 3), (2, 4), (3, 8)]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A pull study whose images are crafted."""
    require("containerd", "ctr", "runc", "ip", "tc", "losetup", "mkfs.ext4")
    find_program("docker-registry")
    (tmp_path / "craft.yaml").write_text(CRAFT)
    settings = CraftSettings(f"oci:{tmp_path / 'layout'}")
    craft_study(tmp_path / "craft.yaml", settings, tmp_path / "images.parquet")
    (tmp_path / "store").mkdir()
    path = tmp_path / "pulls.yaml"
    path.write_text(STUDY.replace("STORE", str(tmp_path / "store")))
    return path


def begin(study: Path, *options: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("pullstudy")
    command = [str(program), "pull", str(study), "--backend", "containerd"]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(run: subprocess.Popen[str]) -> str:
    said, complaint = run.communicate(timeout=120)
    assert run.returncode == 0, complaint
    return said


def list_left(study: Path) -> list[str]:
    """What is left of the labs of a study, also such as only they could have."""
    store = study.parent / "store"
    found = [str(path) for path in (*store.iterdir(), *Path("/run/pullstudy").glob("*"))]
    found += [str(path) for path in Path("/run/containerd/runc").glob("*/pullstudy-lab-*")]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob("*/*/pullstudy-lab-*")]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if "lab-" in line]
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    found += [line for line in processes.stdout.splitlines() if f"{store}/" in line]
    disks = subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True)
    found += [line for line in disks.stdout.splitlines() if str(store) in line]
    return found + list_system()


def test_a_killed_lab_is_cleared_by_the_next_run(study: Path) -> None:
    out = study.parent / "out"
    for moments in KILLED_AFTER_SECONDS:
        run = begin(study, "--out", str(out))
        time.sleep(random.uniform(*moments))
        run.send_signal(signal.SIGKILL)
        run.communicate()
    end(begin(study, "--out", str(out)))
    assert list_left(study) == []
    pulls = pq.read_table(out / "pulls.parquet").to_pylist()
    assert [(p["node"], p["outcome"]) for p in pulls] == [
        ("node-1", "pulled"),
        ("node-2", "pulled"),
    ]


def test_clean_spares_a_lab_that_lives(study: Path) -> None:
    """Of two labs the killed one goes; what bears the number of the other stays."""
    run = begin(study, "--out", str(study.parent / "out"))
    time.sleep(5)
    with claim_lab(str(study.parent / "store")) as claim:
        network = make_network(claim.number, 1, None)
        (claim.folder / "f").touch()
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert str(claim.folder) not in end(begin(study, "--clean"))
        assert (claim.folder / "f").exists()
        assert list_system()[:1] == [
            name for name in list_system() if network.namespaces[0] in name
        ]
    assert list_left(study) == []
    assert end(begin(study, "--clean")) == ""
