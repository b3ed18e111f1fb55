"""Container sets as tables: whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from pullstudy.archive.strategies import CONTAINER_SETS, tabulate_container_sets


def write(folder: Path, path: str, content: str) -> None:
    target = folder / "experiments" / CONTAINER_SETS / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)


def test_layers_of_image_manifests_only(tmp_path: Path) -> None:
    layers = [{"digest": "sha256:a", "size": 3}, {"digest": "sha256:b", "size": 4}]
    manifests = {
        "1.0": {"schemaVersion": 2, "config": {}, "layers": layers},
        "list": {"schemaVersion": 2, "manifests": []},
        "gone": None,
    }
    config = {
        "rootfs": {"type": "layers", "diff_ids": ["sha256:c", "sha256:d"]},
        "history": [{"created_by": "ADD x"}, {"created_by": None}, {"empty_layer": True}],
    }
    document = json.dumps({"tags": ["1.0"], "manifests": manifests, "configs": {"1.0": config}})
    write(tmp_path, "one/ghcr.io/a/b/manifests-config-layers.json", document)
    write(tmp_path, "one/container-layers-csv", "not a document")
    write(tmp_path, "two/c/manifests-config-layers.json", "{broken")
    tabulate_container_sets(tmp_path, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/container_sets.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("one", "ghcr.io/a/b", "1.0", 0, "sha256:a", 3),
        ("one", "ghcr.io/a/b", "1.0", 1, "sha256:b", 4),
    ]
    [image] = pq.read_table(tmp_path / "out/container_images.parquet").to_pylist()
    assert tuple(image.values()) == (
        *("one", "ghcr.io/a/b", "1.0", None),
        *(["sha256:c", "sha256:d"], ["ADD x"]),
    )
    [failure] = pq.read_table(tmp_path / "out/failures.parquet").to_pylist()
    assert failure["name"].endswith("two/c/manifests-config-layers.json")
    assert failure["reason"] == "broken_json"


def test_an_archive_without_sets_says_so(tmp_path: Path) -> None:
    write(tmp_path, "one/c/manifests-config-layers.json", "{}")
    tabulate_container_sets(tmp_path, tmp_path / "out")
    assert pq.read_table(tmp_path / "out/container_sets.parquet").num_rows == 0
    [coverage] = pq.read_table(tmp_path / "out/coverage.parquet").to_pylist()
    assert coverage["present"] < coverage["expected"]
    assert "is missing" in coverage["detail"]
