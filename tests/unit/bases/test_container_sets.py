"""Container sets of an embedded registry: what can be had, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.bases.container_sets import harvest_container_sets
from pullstudy.bases.tabulate import compare_container_sets
from pullstudy.registry.server import serve_layout
from pullstudy.similarity.strategies import read_container_sets
from tests.unit.bases.conftest import add_to_registry, layer_of, make_image

SHARED, OWN = layer_of(("a", b"1")), layer_of(("b", b"2"))
OPTIONS: dict[str, Any] = {
    "platforms": ["linux/amd64"],
    "max_tags": None,
    "concurrency": 4,
    "requests_per_second": None,
}


@pytest.fixture
def harvested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    images = {"1.0": make_image(SHARED), "2.0": make_image(SHARED, OWN, history=[])}
    add_to_registry(tmp_path / "registry", "team/app", images)
    sets = {
        "both": ["x.example/team/app:1.0", "x.example/team/app:2.0", "x.example/team/app:1.0"],
        "partly": ["x.example/team/app:1.0", "x.example/team/gone:1.0", "No Image"],
    }
    with serve_layout(tmp_path / "registry") as address:
        mirrors = {"x.example": f"http://{address}"}
        harvest_container_sets(sets, OPTIONS | {"mirrors": mirrors}, tmp_path / "out")
    return tmp_path / "out"


def read(folder: Path, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / f"{table}.parquet").to_pylist()
    return rows


def test_layers_and_images_of_each_set(harvested: Path) -> None:
    both, partly = read_container_sets(harvested / "container_sets.parquet")
    assert both.images == [("x.example/team/app", "1.0"), ("x.example/team/app", "2.0")]
    assert [len(layers) for layers in both.layers] == [1, 2]
    assert both.layers[0].items() <= both.layers[1].items()
    assert set(both.layers[0].values()) == {len(SHARED.blob)}
    assert partly.images == both.images[:1]
    first, second, again = read(harvested, "container_images")
    assert first["diff_ids"] == again["diff_ids"] == [SHARED.diff_id]
    assert (first["commands"], second["commands"]) == (["COPY a b"], [])


def test_what_cannot_be_had_is_a_failure(harvested: Path) -> None:
    failures = {row["name"]: row["reason"] for row in read(harvested, "failures")}
    assert failures.keys() == {"x.example/team/gone:1.0", "No Image"}
    assert failures["No Image"] == "invalid_reference"
    [coverage] = read(harvested, "coverage")
    assert (coverage["expected"], coverage["present"]) == (5, 3)


def test_the_images_of_a_set_are_compared(harvested: Path, tmp_path: Path) -> None:
    tables = harvested / "container_sets.parquet", harvested / "container_images.parquet"
    compare_container_sets(*tables, tmp_path / "comparisons.parquet")
    levels = {row["level"]: row["jaccard"] for row in read(tmp_path, "comparisons")}
    assert levels == {"config": 0, "layers": 0.5, "unpacked_layers": 0.5}
