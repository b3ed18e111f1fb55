"""The workflow as a module of somebody else's: its own files there, the results here."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.workflow.test_sample_study import planned_rules

SNAKEFILE = """
configfile: "study.yaml"

module pullstudy:
    snakefile: "{tree}/Snakefile"
    config: config

use rule * from pullstudy
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_module_user_gets_figures_in_his_own_folder(tree: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((tree / "config/config.yaml").read_text())
    config |= {"study": "mine", "corpus": config["corpus"] | {"sample_size": 50}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(tree=tree))
    plan = run(tmp_path, "-n")
    assert plan.returncode == 0, plan.stderr
    assert {"corpus_from_sample", "claims", "paper"} <= planned_rules(plan.stdout)

    figure = tmp_path / "results/mine/figures/fig_base_images.pdf"
    result = run(tmp_path, f"results/mine/figures/{figure.name}")
    assert result.returncode == 0, result.stderr
    assert figure.read_bytes().startswith(b"%PDF")
    assert not (tree / "results").exists()
