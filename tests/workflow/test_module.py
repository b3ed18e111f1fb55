"""The workflow as a module of somebody else's: its own files there, the results here."""

import os
import shutil
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


# As snakedeploy writes it.
DEPLOYED = """
configfile: "study.yaml"

module pullstudy:
    snakefile: github("owner/pullstudy", path="workflow/Snakefile", tag="v1")
    config: config

use rule * from pullstudy
"""


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | more
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def write_study(tree: Path, folder: Path) -> None:
    config = yaml.safe_load((tree / "config/config.yaml").read_text())
    config |= {"study": "mine", "corpus": config["corpus"] | {"sample_size": 50}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config))


def test_a_module_user_gets_figures_in_his_own_folder(tree: Path, tmp_path: Path) -> None:
    write_study(tree, tmp_path)
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(tree=tree))
    plan = run(tmp_path, "-n")
    assert plan.returncode == 0, plan.stderr
    assert {"corpus_from_sample", "claims", "paper"} <= planned_rules(plan.stdout)

    figure = tmp_path / "results/mine/figures/fig_base_images.pdf"
    result = run(tmp_path, f"results/mine/figures/{figure.name}")
    assert result.returncode == 0, result.stderr
    assert figure.read_bytes().startswith(b"%PDF")
    assert not (tree / "results").exists()


def test_a_release_on_github_is_used_without_a_checkout(tree: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(tree, origin)
    for words in (
        ("init", "--quiet"),
        ("add", "--all"),
        ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "All"),
        ("tag", "v1"),
    ):
        subprocess.run(["git", "-C", str(origin), *words], check=True)
    folder = tmp_path / "mine"
    folder.mkdir()
    write_study(tree, folder)
    (folder / "Snakefile").write_text(DEPLOYED)
    # Git finds the host here, and Snakemake clones into a cache of its own.
    around = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{origin}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/owner/pullstudy",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    figure = folder / "results/mine/figures/fig_base_images.pdf"
    result = run(folder, f"results/mine/figures/{figure.name}", **around)
    assert result.returncode == 0, result.stderr
    assert figure.read_bytes().startswith(b"%PDF")
