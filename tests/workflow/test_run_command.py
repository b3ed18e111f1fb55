"""`scripts/run`: what it hands to Snakemake."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The command in a tree whose environment is there, with a Snakemake that says what it got."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name, text in (("scripts/setup", "exit 0"), (".venv/bin/snakemake", 'printf "%s\\n" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return Path(shutil.copy2(ROOT / "scripts/run", tmp_path / "scripts/run"))


def arguments_of(run: Path, *arguments: str) -> list[str]:
    done = subprocess.run([run, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_all_cores_of_this_machine_are_used(run: Path) -> None:
    first, cores, *rest = arguments_of(run, "-n", "fig_a b")
    assert first == "--cores"
    assert int(cores) >= 1
    assert rest == ["--rerun-incomplete", "-n", "fig_a b"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workflow-profile", "workflow/profiles/slurm"],
        ["--workflow-profile=workflow/profiles/slurm"],
        ["-n", "--profile", "mine"],
        ["-e", "slurm"],
        ["--executor=slurm"],
    ],
)
def test_a_cluster_is_not_bounded_by_them(run: Path, arguments: list[str]) -> None:
    assert arguments_of(run, *arguments) == ["--rerun-incomplete", *arguments]


def test_locks_of_a_killed_run_are_taken_away(run: Path) -> None:
    locks = run.parents[1] / ".snakemake/locks"
    locks.mkdir(parents=True)
    arguments_of(run, "-n")
    assert not locks.exists()
