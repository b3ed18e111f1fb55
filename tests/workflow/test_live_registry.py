"""The source `harvest` in the pipeline, asked of an embedded registry."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from pullstudy.registry.server import serve_layout
from pullstudy.sample.draw import read_ecosystem
from pullstudy.sample.harvest import fill_layout
from pullstudy.sample.registry import DOCKER_SCHEMA1, SampleRepository, draw_repositories
from tests.conftest import Snakemake


@pytest.fixture(scope="module")
def repositories(tree: Path) -> list[SampleRepository]:
    ecosystem = read_ecosystem(tree / "resources/sample/ecosystem.yaml")
    return list(draw_repositories(ecosystem, 8, seed=5))


@pytest.fixture(scope="module")
def container_set(repositories: list[SampleRepository]) -> list[str]:
    """References to one image of each repository, and to one that is not there."""
    tags = [
        next(tag for tag, digest in r.tags.items() if r.media_type(digest) != DOCKER_SCHEMA1)
        for r in repositories
    ]
    named = [f"{r.name}:{tag}" for r, tag in zip(repositories, tags, strict=True)]
    return [*named, f"{repositories[0].name}:gone"]


@pytest.fixture(scope="module")
def study(
    tree: Path,
    snakemake: Snakemake,
    repositories: list[SampleRepository],
    container_set: list[str],
) -> Path:
    """Harvest what the sample's Dockerfiles name from a registry that holds eight repositories."""
    fill_layout(repositories, tree / "layout")
    with serve_layout(tree / "layout") as address:
        registry = {"source": "harvest", "run": "test", "mirrors": {"*": f"http://{address}"}}
        overlay = tree / "live.yaml"
        strategies = {"source": "harvest", "sets": {"drawn": container_set}}
        config = {"study": "live", "registry": registry, "strategies": strategies}
        overlay.write_text(yaml.safe_dump(config))
        rules = ["registry_from_harvest", "harvest_container_sets"]
        result = snakemake("--configfile", str(overlay), "--until", *rules)
    assert result.returncode == 0, result.stdout + result.stderr
    return tree / "results/live"


def read(study: Path, table: str, stage: str = "registry") -> pd.DataFrame:
    return pd.read_parquet(study / f"tables/{stage}/{table}.parquet")


def test_every_tag_of_the_registry_is_read(
    study: Path, repositories: list[SampleRepository]
) -> None:
    tags = read(study, "tags")
    wanted = {(r.name, tag, digest) for r in repositories for tag, digest in r.tags.items()}
    assert set(zip(tags["name"], tags["tag"], tags["digest"], strict=True)) == wanted


def test_base_images_that_the_registry_lacks_are_failures(
    study: Path, repositories: list[SampleRepository]
) -> None:
    named = set(pd.read_parquet(study / "queries/base_image_names.parquet")["name"])
    failures = read(study, "failures")
    missing = set(failures[failures["reason"] != "schema1"]["name"])
    assert missing == named - {repository.name for repository in repositories}
    assert missing


def test_container_sets_have_the_layers_that_the_harvest_found(
    study: Path, container_set: list[str]
) -> None:
    images = read(study, "images")
    images["reference"] = images["name"].astype(str) + ":" + images["tag"].astype(str)
    wanted = images[images["reference"].isin(container_set)]
    layers = read(study, "layers").merge(wanted, on="image_id", suffixes=("", "_of_image"))
    found = read(study, "container_sets", "strategies")
    assert len(found) > 0
    columns = ["tag", "layer_number", "digest", "size_bytes"]
    assert sorted(found[columns].itertuples(index=False)) == sorted(
        layers[columns].itertuples(index=False)
    )
    [failure] = read(study, "failures", "strategies").to_dict("records")
    assert (failure["name"], failure["status"]) == (container_set[-1], 404)


def test_a_change_of_code_asks_no_registry_again(
    study: Path, tree: Path, snakemake: Snakemake
) -> None:
    module = tree / "scripts/pullstudy/registry/live.py"
    module.write_text(module.read_text() + "\n# changed\n")
    plan = snakemake("-n", "--configfile", str(tree / "live.yaml")).stdout
    assert "registry_from_harvest" in plan
    assert "harvest_registries" not in plan.split("Job stats:")[1].split("total")[0]
