"""The registry tables: rows, numbering, times, and that nothing half-written is left."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.registry import tabulate
from pullstudy.registry.documents import Config, Manifest, decode_config, decode_manifest
from pullstudy.registry.tabulate import open_registry_tables, parse_time
from pullstudy.tables import TABLES

NAMES = ("tags", "images", "layers", "history", "failures", "coverage")


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    table = pq.read_table(folder / f"{name}.parquet")
    assert table.schema.equals(TABLES[name].schema)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def make_manifest(*sizes: int) -> Manifest:
    layers = [{"digest": f"sha256:{n}", "size": size} for n, size in enumerate(sizes)]
    return decode_manifest(
        json.dumps({"mediaType": "m", "config": {"digest": "sha256:c"}, "layers": layers}).encode()
    )


def make_config(*is_empty: bool | None) -> Config:
    history = [
        {"created_by": f"RUN {n}", **({} if e is None else {"empty_layer": e})}
        for n, e in enumerate(is_empty)
    ]
    return decode_config(
        json.dumps(
            {
                "os": "linux",
                "architecture": "",
                "created": "2020-01-01T00:00:00Z",
                "history": history,
            }
        ).encode()
    )


def test_an_image_gives_its_rows(tmp_path: Path) -> None:
    with open_registry_tables(tmp_path) as tables:
        repository = tables.add_repository("ghcr.io/a/b")
        tables.add_tag(repository, "1", "image", "m", "sha256:d")
        number = tables.add_image(
            repository, "1", "image", make_manifest(5, 7), make_config(None, True, False)
        )
    assert number == 0
    assert read(tmp_path, "tags") == [
        {
            "name": "ghcr.io/a/b",
            "registry": "ghcr.io",
            "repository": "a/b",
            "tag": "1",
            "kind": "image",
            "media_type": "m",
            "digest": "sha256:d",
        }
    ]
    (image,) = read(tmp_path, "images")
    assert image == {
        "image_id": 0,
        "name": "ghcr.io/a/b",
        "registry": "ghcr.io",
        "repository": "a/b",
        "tag": "1",
        "kind": "image",
        "media_type": "m",
        "digest": None,
        "config_digest": "sha256:c",
        "os": "linux",
        "architecture": None,
        "variant": None,
        "created_at_utc": datetime(2020, 1, 1),
        "has_manifest": True,
        "has_config": True,
        "layer_count": 2,
        "size_bytes": 12,
    }
    assert [tuple(row.values()) for row in read(tmp_path, "layers")] == [
        (0, 0, "sha256:0", 5, "unknown"),
        (0, 1, "sha256:1", 7, "unknown"),
    ]
    assert [tuple(row.values()) for row in read(tmp_path, "history")] == [
        (0, 0, 0, "RUN 0", False),
        (0, 1, None, "RUN 1", True),
        (0, 2, 1, "RUN 2", False),
    ]


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    with open_registry_tables(tmp_path) as tables:
        repository = tables.add_repository("a")
        tables.add_image(repository, "1", "image", make_manifest(5), None)
        tables.add_image(repository, "2", "index", None, make_config(), media_type="list")
    without_config, without_manifest = read(tmp_path, "images")
    assert (without_config["has_config"], without_config["created_at_utc"]) == (False, None)
    assert (without_manifest["has_manifest"], without_manifest["layer_count"]) == (False, None)
    assert (without_manifest["size_bytes"], without_manifest["media_type"]) == (None, "list")


def test_a_name_that_is_no_reference_is_kept_and_counted(tmp_path: Path) -> None:
    with open_registry_tables(tmp_path, stage="bases") as tables:
        repository = tables.add_repository("--platform=linux/amd64")
        tables.add_image(repository, "1", "image", make_manifest(5), None)
    (image,) = read(tmp_path, "images")
    assert (image["name"], image["registry"]) == ("--platform=linux/amd64", None)
    (failure,) = read(tmp_path, "failures")
    assert (failure["stage"], failure["name"]) == ("bases", "--platform=linux/amd64")
    assert failure["reason"] == "invalid_reference"


@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.booleans(), max_size=6)), max_size=12),
    st.integers(1, 9),
)
def test_numbering_agrees_with_counting_row_by_row_for_any_batch_size(
    tmp_path_factory: pytest.TempPathFactory, images: list[tuple[int, list[bool]]], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    layers, history = [], []
    with pytest.MonkeyPatch.context() as patch, open_registry_tables(folder) as tables:
        patch.setattr(tabulate, "_BATCH_ROWS", batch)
        repository = tables.add_repository("a")
        for image_id, (count, is_empty) in enumerate(images):
            tables.add_image(
                repository, "t", "image", make_manifest(*range(count)), make_config(*is_empty)
            )
            layers += [(image_id, number) for number in range(count)]
            made = 0
            for number, empty in enumerate(is_empty):
                history.append((image_id, number, None if empty else made))
                made += not empty
    found = read(folder, "layers")
    assert [(r["image_id"], r["layer_number"]) for r in found] == layers
    found = read(folder, "history")
    assert [(r["image_id"], r["history_number"], r["layer_number"]) for r in found] == history


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_registry_tables(tmp_path) as tables:
        tables.add_failure("a", "b")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in (tmp_path / "1", tmp_path / "2"):
        with open_registry_tables(folder) as tables:
            repository = tables.add_repository("a")
            tables.add_image(repository, "1", "image", make_manifest(5), make_config(True, False))
            tables.add_coverage("registry", 1, 1, "all")
    for name in NAMES:
        first, second = (tmp_path / f"{n}/{name}.parquet" for n in "12")
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.9999999-00:00", -1),
        ("1980-01-01T00:00:00Z", 315_532_800_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("1970-01-01T00:00:00", 0),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("yesterday", None),
        ("2020-13-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_to_the_microsecond_or_not_at_all(
    text: str | None, expected: int | None
) -> None:
    assert parse_time(text) == expected
