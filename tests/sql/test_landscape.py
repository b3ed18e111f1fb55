"""Landscape queries on drawn images, against counts by pandas and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

SQL = Path(__file__).parents[2] / "workflow" / "sql"
# In this order each reads only those before it.
VIEWS = (
    "landscape_images",
    "landscape_images_as_published",
    "layer_repetition",
    "layer_repetition_as_published",
    "subset_of_registry",
)
PERCENTILES = range(25, 100, 5)
EMPTY = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def drawn() -> dict[str, pd.DataFrame]:
    """Tables with images of all kinds, shared layers, stamps of builds and unknown parts."""
    random = np.random.default_rng(7)
    number = 200
    images = pd.DataFrame(
        {
            "image_id": range(number),
            "name": [f"r{i // 10}" for i in range(number)],
            "tag": ["latest" if i % 10 == 3 and i < 100 else f"v{i % 10}" for i in range(number)],
            "kind": random.choice(["image", "index", "artifact"], number, p=[0.6, 0.3, 0.1]),
            "created_at_utc": [
                pd.Timestamp(int(year), 5, 6)
                for year in random.choice([1970, 1980, *range(2014, 2020)], number)
            ],
            "has_manifest": random.random(number) < 0.9,
            "has_config": random.random(number) < 0.9,
        }
    )
    counts = random.integers(1, 9, number)
    layers = pd.DataFrame({"image_id": np.repeat(range(number), counts)})
    layers["layer_number"] = layers.groupby("image_id").cumcount()
    digests = random.integers(0, 150, len(layers))
    layers["digest"] = [f"sha256:{d:064d}" for d in digests]
    layers["size_bytes"] = (digests.astype(np.int64) + 1) ** 4
    layers = layers[layers["image_id"].map(images["has_manifest"])]
    sums = layers.groupby("image_id")["size_bytes"]
    images["layer_count"] = images["image_id"].map(sums.count())
    images["size_bytes"] = images["image_id"].map(sums.sum())
    return {"images": images, "layers": layers}


def open_study(tables: dict[str, pd.DataFrame]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name, table in tables.items():
        connection.register(f"{name}_frame", table)
        connection.execute(f"CREATE VIEW {name} AS FROM {name}_frame")
    for view in VIEWS:
        connection.execute(f"CREATE TABLE {view} AS {(SQL / f'{view}.sql').read_text()}")
    return connection


def fetch(connection: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    return connection.sql((SQL / f"{query}.sql").read_text()).df()


@pytest.fixture(scope="module")
def study(drawn: dict[str, pd.DataFrame]) -> duckdb.DuckDBPyConnection:
    return open_study(drawn)


def known(drawn: dict[str, pd.DataFrame], *kinds: str) -> pd.DataFrame:
    images = drawn["images"]
    return images[images["has_manifest"] & images["has_config"] & images["kind"].isin(kinds)]


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("landscape_images", ("image", "index")),
        ("landscape_images_as_published", ("image", "artifact")),
    ],
)
def test_images_are_those_of_which_all_is_known(
    drawn: dict[str, pd.DataFrame],
    study: duckdb.DuckDBPyConnection,
    query: str,
    kinds: tuple[str, ...],
) -> None:
    found = study.table(query).df()
    assert found["image_id"].tolist() == known(drawn, *kinds)["image_id"].tolist()
    assert set(found["trend_year"].dropna()) == set(range(2014, 2020))


@pytest.mark.parametrize(
    ("stem", "kinds"),
    [
        ("layer_repetition", ("image", "index")),
        ("layer_repetition_as_published", ("image", "artifact")),
    ],
)
def test_repetition_counts_rows_and_images(
    drawn: dict[str, pd.DataFrame],
    study: duckdb.DuckDBPyConnection,
    stem: str,
    kinds: tuple[str, ...],
) -> None:
    layers = drawn["layers"].merge(known(drawn, *kinds)[["image_id", "name"]])
    groups = layers.groupby("digest")
    expected = {"appearances": groups.size()}
    if stem == "layer_repetition":
        expected |= {
            "images": groups["image_id"].nunique(),
            "repositories": groups["name"].nunique(),
        }
        assert (expected["appearances"] > expected["images"]).any(), "an image holds one twice"
    found = study.table(stem).df().set_index("digest")
    for column, counts in expected.items():
        assert found[column].to_dict() == counts.to_dict()
    counted = expected["images" if "images" in expected else "appearances"]
    thresholds = fetch(study, f"tab_{stem}").set_index("threshold")["layers"]
    assert thresholds["in_one"] == (counted == 1).sum()
    assert thresholds["in_more_than_2"] == (counted > 2).sum()
    assert thresholds["most_frequent"] == counted.max()


def test_one_image_stands_for_its_repository(
    drawn: dict[str, pd.DataFrame], study: duckdb.DuckDBPyConnection
) -> None:
    images = known(drawn, "image", "index")
    expected = {
        name: next(iter([t for t in tags if t == "latest"] or tags))
        for name, tags in images.groupby("name")["tag"]
    }
    assert "latest" in expected.values() and len(set(expected.values())) > 1
    found = study.table("subset_of_registry").df()
    assert dict(zip(found["name"], found["tag"], strict=True)) == expected


def test_percentiles_are_numpys(study: duckdb.DuckDBPyConnection) -> None:
    sizes = study.table("subset_of_registry").df().groupby("name")["size_bytes"].sum()
    low, high = np.percentile(sizes, [95, 100])
    expected = [*np.percentile(sizes, PERCENTILES), *np.linspace(low, high, 5)[1:]]
    found = fetch(study, "fig_size_percentiles")
    assert found["percentile"].tolist() == [*PERCENTILES, 96.25, 97.5, 98.75, 100]
    assert found["size_bytes"].tolist() == pytest.approx(expected, rel=1e-12)


def test_sizes_by_year_are_of_one_image_and_of_a_repository_as_published(
    drawn: dict[str, pd.DataFrame], study: duckdb.DuckDBPyConnection
) -> None:
    def by_year(frame: pd.DataFrame) -> dict[int, Any]:
        years = frame["created_at_utc"].dt.year
        return {y: g for y, g in frame.groupby(years) if y >= 2013}

    found = fetch(study, "fig_image_size_by_year").set_index("year")
    for year, images in by_year(known(drawn, "image", "index")).items():
        sizes = images["size_bytes"]
        assert found.loc[year, "mean"] == pytest.approx(sizes.mean())
        assert found.loc[year, "p95"] == pytest.approx(np.percentile(sizes, 95))
    naive = fetch(study, "fig_image_size_by_year_as_published").set_index("year")
    for year, images in by_year(known(drawn, "image", "artifact")).items():
        assert naive.loc[year, "p50"] == images.groupby("name")["size_bytes"].sum().median()


def test_top_layers_name_what_made_them(drawn: dict[str, pd.DataFrame]) -> None:
    """The empty layer is made by WORKDIR more often than by RUN."""
    count = 60
    images = drawn["images"].head(count).assign(kind="image", has_manifest=True, has_config=True)
    layers = pd.DataFrame(
        {"image_id": range(count), "layer_number": 0, "digest": EMPTY, "size_bytes": 32}
    )
    commands = ["/bin/sh -c #(nop) WORKDIR /a", "WORKDIR /b", "RUN true"]
    history = pd.DataFrame(
        {
            "image_id": range(count),
            "layer_number": 0,
            "created_by": [commands[i % 4 % 3] for i in range(count)],
        }
    )
    study = open_study({"images": images, "layers": layers, "history": history})
    (row,) = fetch(study, "tab_top_layers").to_dict("records")
    assert (row["digest"], row["appearances"], row["images"]) == (EMPTY, count, count)
    assert (row["instruction"], row["instruction_share"]) == ("WORKDIR", 0.75)
    assert row["command"] == commands[0]


def test_without_images_there_are_no_rows(drawn: dict[str, pd.DataFrame]) -> None:
    study = open_study({name: table.head(0) for name, table in drawn.items()})
    for query in (
        "fig_size_percentiles",
        "fig_layers_by_year",
        "fig_image_size_by_year",
        "fig_layer_size_by_year",
        "fig_layer_repetition",
        "tab_creation_years",
    ):
        assert fetch(study, query).empty, query
