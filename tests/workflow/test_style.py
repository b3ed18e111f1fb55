"""The tools that keep the code in shape find nothing to say."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW_FILES = ["Snakefile", *(str(p) for p in sorted((ROOT / "workflow/rules").glob("*.smk")))]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["snakefmt", "--check", *WORKFLOW_FILES],
        ["snakemake", "--lint"],
    ],
    ids=lambda command: "-".join(command[:2]),
)
def test_tool_is_content(command: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
