"""The tables of the published archive against the published numbers and an independent count."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from pullstudy.archive.members import read_members
from pullstudy.archive.published import tabulate_bases
from pullstudy.archive.registry import tabulate_registry

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tables(published_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    tabulate_registry(published_archive, folder)
    return folder


@dataclass
class Count:
    """What the json and tarfile modules find in the archive."""

    files: int = 0
    tags: int = 0
    layer_rows: int = 0
    images: int = 0
    configs: int = 0
    history: Counter[bool] = field(default_factory=Counter)
    size_bytes: int = 0
    years: Counter[str] = field(default_factory=Counter)
    digests: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def folder(published_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The registry's part of the archive, unpacked by GNU tar."""
    if published_archive.is_dir():
        yield published_archive
        return
    folder = tmp_path_factory.mktemp("unpacked")
    part = "*/experiments/dockerfile/data/dockerfile/*"
    arguments = ["tar", "-xzf", str(published_archive), "-C", str(folder), "--wildcards", part]
    subprocess.run(arguments, check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def counted(folder: Path) -> Count:
    count = Count()
    for path in folder.glob("**/registry/**/manifests-config-layers.json"):
        add_document(count, json.loads(path.read_bytes()))
    return count


def add_document(count: Count, document: dict[str, Any]) -> None:
    count.files += 1
    if not document["tags"] or not document["tags"][0].startswith("crane ls "):
        count.tags += len(set(document["tags"]))
    for tag, manifest in document["manifests"].items():
        config = document["configs"].get(tag)
        if config is not None:
            count.configs += 1
            count.years[config["created"][:4]] += 1
            count.history.update(e.get("empty_layer", False) for e in config.get("history", ()))
        if manifest.get("schemaVersion") == 2 and "layers" in manifest and config is not None:
            count.images += 1
            count.layer_rows += len(manifest["layers"])
            count.size_bytes += sum(layer["size"] for layer in manifest["layers"])
            count.digests.update(layer["digest"] for layer in manifest["layers"])


def query(tables: Path, sql: str) -> Any:
    connection = duckdb.connect()
    for path in tables.glob("*.parquet"):
        connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM '{path}'")
    return connection.execute(sql).fetchall()


def test_images_and_layers_agree_with_a_naive_count(tables: Path, counted: Count) -> None:
    found = query(
        tables,
        """SELECT count(*), sum(layer_count), sum(size_bytes) FROM images
        WHERE has_manifest AND has_config""",
    )
    assert found == [(counted.images, counted.layer_rows, counted.size_bytes)]
    found = query(
        tables,
        """SELECT count(*), sum(l.size_bytes), count(DISTINCT l.digest)
        FROM layers AS l JOIN images USING (image_id) WHERE has_config""",
    )
    assert found == [(counted.layer_rows, counted.size_bytes, len(counted.digests))]


def test_configs_and_history_agree_with_a_naive_count(tables: Path, counted: Count) -> None:
    found = query(tables, "SELECT count(*) FROM images WHERE has_config")
    assert found == [(counted.configs,)]
    found = query(tables, "SELECT is_empty_layer, count(*) FROM history GROUP BY ALL")
    assert dict(found) == counted.history
    found = query(
        tables,
        """SELECT strftime(created_at_utc, '%Y'), count(*) FROM images
        WHERE has_config GROUP BY ALL""",
    )
    # Times with an offset may fall into the neighbouring year in UTC.
    assert sum(dict(found).values()) == sum(counted.years.values())
    assert sum((Counter(dict(found)) - counted.years).values()) <= 5


def test_every_tag_is_an_image_or_a_failure(tables: Path, counted: Count) -> None:
    assert query(tables, "SELECT count(*) FROM tags") == [(counted.tags,)]
    lost = query(
        tables,
        """SELECT * FROM tags AS t
        ANTI JOIN images AS i ON t.name = i.name AND t.tag = i.tag
        ANTI JOIN failures AS f ON t.name = f.name AND t.tag = f.reference""",
    )
    assert lost == []


def test_a_folder_gives_the_rows_of_the_tarball(tables: Path, folder: Path, tmp_path: Path) -> None:
    tabulate_registry(folder, tmp_path)
    # Tarballs of git hold the repositories in the folder's order, others in one of their own.
    for table in ("tags", "images", "subset", "failures", "coverage"):
        columns = "* EXCLUDE image_id" if table == "images" else "*"
        (first,), (second,) = (
            query(path, f"SELECT count(*), sum(hash(t)) FROM (SELECT {columns} FROM {table}) AS t")
            for path in (tables, tmp_path)
        )
        assert first == second


def test_layer_numbers_of_history_fit_the_manifest(tables: Path) -> None:
    # Two images record fewer or more steps than they have layers.
    odd = query(
        tables,
        """SELECT count(*) FROM images JOIN (
            SELECT image_id, max(layer_number) + 1 AS made FROM history GROUP BY image_id
        ) USING (image_id) WHERE has_manifest AND made <> layer_count""",
    )
    assert odd[0][0] <= 2


def test_coverage_says_how_many_listed_repositories_are_there(
    tables: Path, published_archive: Path, counted: Count
) -> None:
    listing = dict(
        read_members(published_archive, ["dockerfile/data/dockerfile/docker-images.txt"])
    )
    ((expected, present, detail),) = query(
        tables, "SELECT expected, present, detail FROM coverage WHERE part = 'registry'"
    )
    assert expected == len(set(next(iter(listing.values())).decode().split()))
    further = int(detail.split("; ")[1].split()[0])
    assert present + further == counted.files


def test_subset_gives_the_published_size_percentiles(tables: Path) -> None:
    subset = pq.read_table(tables / "subset.parquet").to_pandas()
    sizes = subset.groupby("name", observed=True)["size_bytes"].sum().to_numpy()
    assert len(subset) == 18_002
    assert len(sizes) == 1_525
    assert np.percentile(sizes, [25, 50, 95, 100]) == pytest.approx(
        [53_702_097.0, 132_399_102.0, 2_775_722_493.4, 19_039_736_629.0], abs=0.05
    )
    assert subset["size_bytes"].mean() == pytest.approx(50_501_439.21, abs=0.005)
    assert subset["size_bytes"].median() == 473_568.5


def test_bases_give_the_published_families(published_archive: Path, tmp_path: Path) -> None:
    tabulate_bases(published_archive, tmp_path)
    bases = pq.read_table(tmp_path / "bases.parquet").to_pylist()
    assert Counter(row["family"] for row in bases) == {
        "debian": 393,
        "alpine": 95,
        "ubuntu": 74,
        "centos": 64,
        "fedora": 15,
        "rockylinux": 11,
        "busybox": 4,
    }
    assert 0.59 <= min(row["score"] for row in bases) <= max(row["score"] for row in bases) <= 1
