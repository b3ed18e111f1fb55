"""The ready-made tables: whole, partial and damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.archive.published import BASES, SUBSET, find_family, tabulate_bases
from pullstudy.archive.registry import LISTING, tabulate_registry
from pullstudy.tables import TABLES

HEADER = ",id,full_uri,uri,tag,layer_number,architecture,digest,os,size,schema_version\n"
LINES = (
    "7,8,a/b:1,a/b,1,0,unknown,sha256:aa,unknown,10,2\n"
    '8,9,"x ""y"":latest","x ""y""",latest,1,unknown,sha256:bb,unknown,20,2\n'
)


def tabulate(folder: Path, files: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    for path, content in files.items():
        target = folder / "experiments" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    (folder / "experiments").mkdir(exist_ok=True)
    tabulate_registry(folder, folder / "registry")
    tabulate_bases(folder, folder / "bases")
    found: dict[str, list[dict[str, Any]]] = {}
    for path in ("registry/subset", "bases/bases", "*/failures", "*/coverage"):
        name = path.partition("/")[2]
        tables = [pq.read_table(file) for file in sorted(folder.glob(f"{path}.parquet"))]
        assert all(table.schema.equals(TABLES[name].schema) for table in tables)
        found[name] = [row for table in tables for row in table.to_pylist()]
    # What the registry's own files say is another test's subject.
    found["coverage"] = [row for row in found["coverage"] if "registry" not in row["part"]]
    return found


def test_rows_are_taken_as_published(tmp_path: Path) -> None:
    bases = {
        "a/b": {"base_image": "docker.io/library/debian:12", "score": 0.75},
        "c": {"base_image": "rockylinux/rockylinux:9", "score": 1},
    }
    found = tabulate(
        tmp_path,
        {SUBSET: HEADER + LINES, BASES: json.dumps(bases), LISTING: 'a/b\nx "y"\nnot/there\n'},
    )
    assert [tuple(row.values()) for row in found["subset"]] == [
        ("a/b", "1", 0, "sha256:aa", 10),
        ('x "y"', "latest", 1, "sha256:bb", 20),
    ]
    assert [(r["name"], r["family"], r["score"]) for r in found["bases"]] == [
        ("a/b", "debian", 0.75),
        ("c", "rockylinux/rockylinux", 1.0),
    ]
    assert [(r["part"], r["expected"], r["present"]) for r in found["coverage"]] == [
        ("bases", 2, 2),
        ("subset", 3, 2),
    ]
    assert found["failures"] == []


def test_missing_files_give_empty_tables_and_say_so(tmp_path: Path) -> None:
    found = tabulate(tmp_path, {LISTING: "a\nb\n"})
    assert found["subset"] == found["bases"] == found["failures"] == []
    assert [(r["expected"], r["present"]) for r in found["coverage"]] == [(1, 0), (2, 0)]
    assert all("is missing" in row["detail"] for row in found["coverage"])


@pytest.mark.parametrize(
    "line",
    [
        "1,2,a:1,a,1,0,unknown,sha256:aa\n",
        "1,2,a:1,a,1,0,unknown,sha256:aa,unknown,many,2\n",
        "1,2,a:1,a,1,-1,unknown,sha256:aa,unknown,1,2\n",
        f"1,2,a:1,a,1,0,unknown,sha256:aa,unknown,{2**63},2\n",
        "1,2,a:1,,1,0,unknown,sha256:aa,unknown,1,2\n",
    ],
    ids=["cut", "no number", "negative", "too large", "no name"],
)
def test_a_bad_row_of_the_subset_is_a_failure_and_the_rest_stays(tmp_path: Path, line: str) -> None:
    found = tabulate(tmp_path, {SUBSET: HEADER + line + LINES})
    assert len(found["subset"]) == 2
    assert [(r["reason"], r["reference"]) for r in found["failures"]] == [("invalid_row", "line 2")]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{}", "invalid_row"),
        ('{"base_image": "debian:12", "score": "high"}', "invalid_row"),
        ('{"base_image": "debian:12", "score": 1e999}', "invalid_row"),
        ('{"base_image": "Debian 12", "score": 1}', "invalid_reference"),
    ],
)
def test_a_bad_classification_is_a_failure_and_the_rest_stays(
    tmp_path: Path, entry: str, reason: str
) -> None:
    good = '{"base_image": "debian:12", "score": 1}'
    found = tabulate(tmp_path, {BASES: f'{{"bad": {entry}, "good": {good}}}'})
    assert [row["name"] for row in found["bases"]] == ["good"]
    assert [(r["name"], r["reason"]) for r in found["failures"]] == [("bad", reason)]
    assert found["coverage"][0]["expected"] == 2


def test_a_cut_off_classification_file_is_a_failure(tmp_path: Path) -> None:
    found = tabulate(tmp_path, {BASES: '{"a": {"base_image": "debi'})
    assert found["bases"] == []
    assert [row["reason"] for row in found["failures"]] == ["broken_json"]
    assert found["coverage"][0]["present"] < found["coverage"][0]["expected"]


@pytest.mark.parametrize(
    ("base", "family"),
    [
        ("docker.io/library/debian:12", "debian"),
        ("ubuntu", "ubuntu"),
        ("quay.io/centos/centos:8", "centos/centos"),
    ],
)
def test_family_is_the_base_without_registry_library_and_tag(base: str, family: str) -> None:
    assert find_family(base) == family
