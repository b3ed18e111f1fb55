"""The live sources of Dockerfiles as rules: list, crawl, tables; nothing paid for twice."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import Snakemake
from tests.unit.corpus.conftest import commit_files, make_repository, serve_github
from tests.workflow.test_sample_study import planned_rules

TARGET = "corpus_from_crawl"


@pytest.fixture
def repositories(tmp_path: Path) -> list[str]:
    folder = tmp_path / "git"
    names = ("a/one", "b/two", "b/three")
    return [
        f"file://{make_repository(folder / name, {b'Dockerfile': b'FROM ' + name.encode()})}"
        for name in names
    ]


def write_config(path: Path, study: str, **corpus: object) -> list[str]:
    path.write_text(yaml.safe_dump({"study": study, "corpus": corpus}))
    return [TARGET, "--configfile", str(path)]


def read_bases(tree: Path, study: str) -> set[str]:
    return set(pd.read_parquet(tree / f"results/{study}/tables/corpus/stages.parquet")["base"])


def test_git(tree: Path, snakemake: Snakemake, tmp_path: Path, repositories: list[str]) -> None:
    none = f"file://{tmp_path}/none"
    arguments = write_config(
        tmp_path / "c.yaml", "byurl", source="git", repositories=[*repositories, none]
    )
    result = snakemake(*arguments)
    assert result.returncode == 0, result.stderr
    assert "crawl: 4 of 4 repositories" in result.stderr
    assert read_bases(tree, "byurl") == {"a/one", "b/two", "b/three"}
    failures = pd.read_parquet(tree / "results/byurl/tables/corpus/failures.parquet")
    assert failures[["name", "reason"]].to_numpy().tolist() == [[none, "gone"]]

    module = tree / "scripts/pullstudy/corpus/fetch.py"
    before = module.read_text()
    module.write_text(before + "\n# changed\n")
    assert planned_rules(snakemake("-n", *arguments).stdout) == {"corpus_from_crawl"}
    module.write_text(before)

    # More repositories, or a forced rerun: what is there is not fetched again.
    commit_files(Path(repositories[0].removeprefix("file://")), {b"Dockerfile": b"FROM changed"})
    arguments = write_config(
        tmp_path / "c.yaml", "byurl", source="git", repositories=repositories[:2]
    )
    result = snakemake(*arguments, "--forcerun", "crawl_repositories")
    assert result.returncode == 0, result.stderr
    assert "crawl: 2 of 2 repositories are there already" in result.stderr
    assert read_bases(tree, "byurl") == {"a/one", "b/two"}


def test_github(
    tree: Path,
    snakemake: Snakemake,
    tmp_path: Path,
    repositories: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    with serve_github() as github:
        github.token = "secret"
        for url in repositories[1:]:
            github.add("b", [url.rpartition("/")[2]], clone_url=url)
        keys = {"organisations": ["b"], "github_api": github.url}
        result = snakemake(*write_config(tmp_path / "c.yaml", "gh", source="github", **keys))
    assert result.returncode == 0, result.stderr
    assert read_bases(tree, "gh") == {"b/two", "b/three"}
    for path in (tree / "results/gh").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
    assert "secret" not in result.stdout + result.stderr


def test_rsepedia(
    tree: Path, snakemake: Snakemake, tmp_path: Path, repositories: list[str]
) -> None:
    for number, url in enumerate(repositories):
        entry = tmp_path / f"database/custom/x/{number}/metadata.json"
        entry.parent.mkdir(parents=True)
        entry.write_text(json.dumps({"url": url}))
    arguments = write_config(
        tmp_path / "c.yaml",
        "rse",
        source="rsepedia",
        rsepedia=os.fspath(tmp_path),
        max_repositories=2,
    )
    result = snakemake(*arguments)
    assert result.returncode == 0, result.stderr
    assert len(read_bases(tree, "rse")) == 2
    coverage = pd.read_parquet(tree / "results/rse/tables/corpus/coverage.parquet")
    assert coverage[["expected", "present"]].to_numpy().tolist() == [[3, 2]]
