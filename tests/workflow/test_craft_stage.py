"""Crafting in the pipeline: from the study's own Table I to images that a registry has."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from pullstudy.registry.push import RepositoryPusher
from pullstudy.registry.server import serve_layout
from tests.conftest import Snakemake

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def overlay(tree: Path) -> Path:
    """A study of two sizes, with one image that Docker would refuse."""
    (tree / "small.yaml").write_text(
        "sizes: {from: fig_size_percentiles.parquet, percentiles: [25, 50]}\n"
        "layers: [{exact: 2}, {exact: 200}]\n"
    )
    path = tree / "overlay.yaml"
    path.write_text(yaml.safe_dump({"craft": {"studies": ["small.yaml"], "scale": 0.001}}))
    return path


@pytest.fixture(scope="module")
def embedded(tree: Path, snakemake: Snakemake, overlay: Path) -> pd.DataFrame:
    result = snakemake("--configfile", str(overlay), "--", "results/sample/craft/images.parquet")
    assert result.returncode == 0, result.stdout + result.stderr
    return pd.read_parquet(tree / "results/sample/craft/images.parquet")


def test_sizes_are_those_of_table_one(embedded: pd.DataFrame, tree: Path) -> None:
    table = pd.read_parquet(tree / "results/sample/queries/fig_size_percentiles.parquet")
    wanted = table.set_index("percentile")["size_bytes"].loc[[25.0, 50.0]] * 0.001
    assert embedded["compressed_bytes"].tolist() == [int(size) for size in wanted]
    assert embedded["percentile"].tolist() == [25.0, 50.0]
    assert embedded["layer_count"].tolist() == [2, 2]


def test_the_layout_holds_the_images(embedded: pd.DataFrame, tree: Path) -> None:
    with serve_layout(tree / "results/sample/raw/craft/registry") as address:
        for name, digest in zip(embedded["name"], embedded["digest"], strict=True):
            repository, _, tag = name.partition(":")
            pusher = RepositoryPusher(address, repository)
            assert pusher.get_manifest(tag, [MANIFEST]) == pusher.get_manifest(digest, [MANIFEST])


def test_a_real_registry_gets_the_same_images(
    embedded: pd.DataFrame, tree: Path, snakemake: Snakemake, overlay: Path
) -> None:
    with serve_layout(tree / "elsewhere") as address:
        section = {"output": "registry", "repository": f"{address}/me/crafted"}
        more = tree / "registry.yaml"
        more.write_text(yaml.safe_dump({"craft": section}))
        arguments = ("--configfile", str(overlay), str(more), "--")
        files = [f"results/sample/craft/{name}.parquet" for name in ("images", "plan")]
        result = snakemake(*arguments, *files)
        assert result.returncode == 0, result.stdout + result.stderr
    pushed, plan = (pd.read_parquet(tree / file) for file in files)
    assert pushed["digest"].tolist() == embedded["digest"].tolist()
    assert pushed["name"].str.startswith(f"{address}/me/crafted-small:").all()
    assert plan["skipped_because"].notna().tolist() == [False, False, True, True]
    assert set(pushed["name"]) < set(plan["name"])
