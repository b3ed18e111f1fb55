"""What tests of several folders share: the published archive and a copy of the tree to run in."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does. CI judges a change, so it draws
# the same examples for the same tests; developers' runs look for new ones.
settings.register_profile("pullstudy", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "pullstudy")

# A shell makes what runs in its background deaf to interrupts, and with it all that this starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared/data/container-chonks-fa06749.tar.gz"

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test for what this machine lacks; in CI nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def published_archive() -> Path:
    """The published archive, as it is handed to developers."""
    path = Path(os.environ.get("PULLSTUDY_ARCHIVE", ARCHIVE))
    if not path.exists():
        skip_or_fail(f"the published archive is not at {path}; set PULLSTUDY_ARCHIVE")
    return path


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files: relative paths of the workflow hold there."""
    folder = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


@pytest.fixture(scope="module")
def snakemake(tree: Path) -> Snakemake:
    """Run Snakemake in the copied tree, on that tree's package."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(tree / "scripts")}
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=tree, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run
