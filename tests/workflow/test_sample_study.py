"""The sample study from end to end, in a copied tree."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.browser import open_browser
from tests.conftest import Snakemake
from tests.workflow.report import go_through_figures

# What rests on everything else.
LAST_RULES = ("paper", "provenance", "report_page")


def digest_results(folder: Path) -> dict[str, str]:
    kept = ("tables", "queries", "figures", "craft", "claims.csv", "paper.pdf")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in kept
        for path in sorted([folder / top, *(folder / top).rglob("*")])
        # What a killed job leaves half-written stays hidden until its next run replaces it.
        if path.is_file() and not path.name.startswith(".")
    }


def planned_rules(output: str) -> set[str]:
    """The rules that a dry run lists in its table of jobs."""
    table = output.split("Job stats:")[1].split("total")[0]
    return set(re.findall(r"^([a-z_0-9]+) +\d+$", table, re.MULTILINE)) - {"all"}


@pytest.fixture(scope="module")
def study(tree: Path, snakemake: Snakemake) -> Path:
    result = snakemake()
    assert result.returncode == 0, result.stderr
    # The last words say where the results are.
    said = [line for line in result.stderr.splitlines() if line.startswith("pullstudy: ")]
    named = [line.split()[1].rpartition("/")[2] for line in said]
    assert named == ["paper.pdf", "report.html", "claims.csv"]
    return tree / "results/sample"


def test_every_figure_and_table_is_made(study: Path) -> None:
    figures = {path.name for path in (study / "figures").iterdir()}
    stems = {path.stem for path in (study.parents[1] / "scripts").glob("fig_*.py")}
    assert figures == {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")}
    for table in (study / "tables").glob("*.csv"):
        assert len(table.read_text().splitlines()) > 1, f"{table.name} is empty"


def test_a_made_up_study_confirms_nothing_about_the_paper(study: Path) -> None:
    claims = pd.read_csv(study / "claims.csv")
    assert set(claims["verdict"]) <= {"partial", "not archived", "reproduced"}
    partial = claims[claims["verdict"] == "partial"]
    assert partial["note"].str.contains("made up").all()


def test_the_run_is_written_down(study: Path) -> None:
    record = json.loads((study / "provenance.json").read_text())
    assert record["config"]["study"] == record["study"] == "sample"
    assert dict(record["packages"])["duckdb"]
    rules = {job["rule"]: job for job in record["rules"]}
    assert {"corpus_from_sample", "compare_pulls", "claims", "paper"} <= rules.keys()
    outputs = {output for job in record["rules"] for output in job["outputs"]}
    # The model leaves tables that no rule names.
    made = {name for name in digest_results(study) if not name.startswith("tables/model/")}
    assert {f"results/sample/{name}" for name in made} <= outputs
    for job in record["rules"]:
        assert job["started_at_utc"] <= job["ended_at_utc"]
    claims = (study.parents[1] / "resources/claims.yaml").read_bytes()
    assert dict(record["inputs"])["resources/claims.yaml"] == hashlib.sha256(claims).hexdigest()


@pytest.mark.integration
def test_the_report_shows_every_figure_in_a_browser(study: Path, tmp_path: Path) -> None:
    with open_browser(tmp_path) as browser:
        browser.open((study / "report.html").as_uri())
        shown = go_through_figures(browser)
        captions = browser.run("return Object.values(window.results).map(x => x.caption)")
        errors = browser.errors()
    assert shown == {path.name for path in (study / "figures").glob("*.png")}
    assert all("Study: sample" in caption for caption in captions)
    assert errors == []


def test_nothing_is_left_to_do(study: Path, snakemake: Snakemake) -> None:
    assert "Nothing to be done" in snakemake("-n").stdout + snakemake("-n").stderr


def test_touching_code_changes_nothing(study: Path, tree: Path, snakemake: Snakemake) -> None:
    for path in (tree / "scripts/pullstudy").rglob("*.py"):
        path.touch()
    result = snakemake("-n")
    assert "Nothing to be done" in result.stdout + result.stderr


def test_changed_code_reruns_what_depends_on_it(
    study: Path, tree: Path, snakemake: Snakemake
) -> None:
    module = tree / "scripts/pullstudy/figures/by_year.py"
    before = module.read_text()
    module.write_text(before + "\n# changed\n")
    assert planned_rules(snakemake("-n").stdout) == {
        "fig_image_size_by_year",
        "fig_layer_size_by_year",
        "fig_layers_by_year",
        *LAST_RULES,
    }
    module.write_text(before)


def test_a_changed_query_reruns_what_reads_it(
    study: Path, tree: Path, snakemake: Snakemake
) -> None:
    query = tree / "workflow/sql/fig_base_images.sql"
    before = query.read_text()
    query.write_text(before.replace("LIMIT 20", "LIMIT 5"))
    plan = snakemake("-n").stdout
    assert planned_rules(plan) == {"run_query", "fig_base_images", *LAST_RULES}
    assert snakemake("fig_base_images").returncode == 0
    rows = pd.read_parquet(study / "queries/fig_base_images.parquet")
    assert rows["image"].nunique() == 5
    query.write_text(before)
    assert snakemake("fig_base_images").returncode == 0


def test_one_figure_is_remade_by_its_file(study: Path, snakemake: Snakemake) -> None:
    path = study / "figures/fig_layers_by_year.pdf"
    content = path.read_bytes()
    path.unlink()
    result = snakemake(f"results/sample/figures/{path.name}")
    assert result.returncode == 0, result.stderr
    assert path.read_bytes() == content


def test_a_second_run_gives_the_same_bytes(study: Path, snakemake: Snakemake) -> None:
    before = digest_results(study)
    assert len(before) > 40
    result = snakemake("--forceall")
    assert result.returncode == 0, result.stderr
    assert digest_results(study) == before


def test_a_killed_run_goes_on_to_the_same_results(
    study: Path, tree: Path, snakemake: Snakemake
) -> None:
    before = digest_results(study)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--forceall"]
    environment = os.environ | {"PYTHONPATH": str(tree / "scripts")}
    for seconds in (6, 9):
        run = subprocess.Popen(
            command, cwd=tree, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(seconds)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert snakemake("--unlock").returncode == 0
    result = snakemake("--rerun-incomplete")
    assert result.returncode == 0, result.stderr
    assert digest_results(study) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sead=1"], "config: unknown key 'sead'; did you mean 'seed'?"),
        (["study=a/b"], "config: key 'study'"),
    ],
)
def test_a_wrong_key_is_named(snakemake: Snakemake, arguments: list[str], message: str) -> None:
    result = snakemake("-n", "--config", *arguments)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert len(result.stderr.splitlines()) < 10
