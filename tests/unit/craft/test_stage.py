"""Crafting as a stage: study files and tables in, a layout that can be served and a table out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from pullstudy.craft.base import BaseImage
from pullstudy.craft.build import Reporter, craft_images
from pullstudy.craft.output import LayoutOutput
from pullstudy.craft.registry_output import RegistryOutput
from pullstudy.craft.run import plan_file
from pullstudy.craft.stage import CraftStage
from pullstudy.craft.study import Surroundings
from pullstudy.errors import ConfigError
from pullstudy.registry.server import serve_layout

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
STUDIES = {
    "a": "sizes: {from: percentiles.parquet, percentiles: [50]}\n"
    "layers: [{exact: 2}, {exact: 130}]",
    "b": "sizes: {from: percentiles.parquet, percentiles: [50, 100]}\nlayers: [{exact: 3}]\n"
    "distribution: {from: layers.parquet}\ncompression: zstd\nscale: 0.5\nseed: 3",
}


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    """Tables of a study, where no study file lies."""
    folder = tmp_path / "tables"
    folder.mkdir()
    percentiles = {"percentile": [50.0, 100.0], "size_bytes": [40_000_000.0, 90_000_000.0]}
    pq.write_table(pa.table(percentiles), folder / "percentiles.parquet")
    pq.write_table(pa.table({"size_bytes": [40, 1000, 90_000]}), folder / "layers.parquet")
    return sorted(folder.iterdir())


def make_stage(tmp_path: Path, tables: list[Path], **options: Any) -> CraftStage:
    paths = []
    for name, text in STUDIES.items():
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(text)
    section = {"studies": paths, "scale": 0.01, "repository": "x/crafted", "beyond_limits": False}
    return CraftStage(section | options, tables, seed=7)


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_the_plan_holds_every_image_and_why_one_is_skipped(
    tmp_path: Path, tables: list[Path]
) -> None:
    make_stage(tmp_path, tables).plan(tmp_path / "plan.parquet")
    rows = read(tmp_path / "plan.parquet")
    assert [(row["study"], row["percentile"], row["compressed_bytes"]) for row in rows] == [
        ("a", 50.0, 400_000), ("a", 50.0, None), ("b", 50.0, 200_000), ("b", 100.0, 450_000),
    ]  # fmt: skip
    assert "130 layers, Docker takes 125" in rows[1]["skipped_because"]
    assert rows[0]["name"] == "x/crafted-a:2-layers-size-400000-bytes"
    assert rows[0]["largest_layer_bytes"] == 200_000
    assert rows[2]["largest_layer_bytes"] > 90_000
    assert {row["shared_layer_count"] for row in rows} == {0, None}


def test_a_table_without_rows_plans_nothing(
    tmp_path: Path, tables: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tables[0].parent / "layers.parquet"
    pq.write_table(pa.table({"size_bytes": pa.array([], pa.int64())}), empty)
    make_stage(tmp_path, tables).plan(tmp_path / "plan.parquet")
    assert {row["percentile"] for row in read(tmp_path / "plan.parquet")} == {50.0}
    said = capsys.readouterr().err
    assert "b.yaml: key 'distribution.from'" in said
    assert said.endswith("has no rows; none of its images is planned\n")


def test_what_is_crafted_can_be_pulled_from_the_layout(tmp_path: Path, tables: list[Path]) -> None:
    stage = make_stage(tmp_path, tables, beyond_limits=True)
    crafted = stage.craft_into_layout(tmp_path / "layout", tmp_path / "images.parquet")
    rows = read(tmp_path / "images.parquet")
    assert [row["digest"] for row in rows] == [image.digest for image in crafted]
    assert [row["layer_count"] for row in rows] == [2, 130, 3, 3]
    assert [row["seed"] for row in rows] == [7, 7, 3, 3]
    with serve_layout(tmp_path / "layout") as address:
        for row in rows:
            repository, _, tag = row["name"].partition(":")
            url = f"http://{address}/v2/{repository}"
            answer = requests.get(f"{url}/manifests/{tag}", headers={"Accept": MANIFEST}, timeout=9)
            assert answer.headers["Docker-Content-Digest"] == row["digest"]
            layers = answer.json()["layers"]
            assert sum(layer["size"] for layer in layers) == row["compressed_bytes"]
            for layer in layers:
                assert requests.head(f"{url}/blobs/{layer['digest']}", timeout=9).ok


def test_a_stopped_stage_goes_on_and_gives_the_same_table(
    tmp_path: Path, tables: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, layout = make_stage(tmp_path, tables), tmp_path / "layout"
    before = stage.craft_into_layout(layout, tmp_path / "before.parquet")
    # Snakemake deletes what it knows of a stage that it starts again.
    (layout / "oci-layout").unlink()
    monkeypatch.setattr(RegistryOutput, "put_layer", None)
    after = stage.craft_into_layout(layout, tmp_path / "after.parquet")
    assert not any(image.was_there for image in before)
    assert all(image.was_there for image in after)
    assert read(tmp_path / "before.parquet") == read(tmp_path / "after.parquet")
    assert (layout / "oci-layout").exists()


def test_the_command_makes_the_same_images(tmp_path: Path, tables: list[Path]) -> None:
    """Digests depend on study file, tables, scale and seed, not on where the images go."""
    crafted = make_stage(tmp_path, tables).craft_into_layout(
        tmp_path / "layout", tmp_path / "images.parquet"
    )
    around = Surroundings(tables={path.name: path for path in tables}, scale=0.01, seed=7)
    again = [
        image
        for name in STUDIES
        for image in craft_images(
            plan_file(tmp_path / f"{name}.yaml", around)[0],
            LayoutOutput(tmp_path / name),
            BaseImage(),
            Reporter(),
        )
    ]
    assert [image.digest for image in crafted] == [image.digest for image in again]


def test_study_files_need_names_of_their_own(tmp_path: Path, tables: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"craft\.studies': 2 files are named 'a'; rename one"):
        make_stage(tmp_path, tables, studies=["one/a.yaml", "b.yaml", "two/a.yaml"])
