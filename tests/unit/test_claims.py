from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pullstudy.claims import COLUMNS, judge_claims, queries_of, read_claims, write_verdicts
from pullstudy.errors import ClaimError, ConfigError

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/claims.schema.json"
# What an empty table gives.
NOTHING = {"query": "naive", "value": "max(n)", "where": "false"}


def write_claims(folder: Path, *entries: dict[str, Any]) -> Path:
    base = {"statement": "something holds", "slide": "1", "unit": "things"}
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump([base | entry for entry in entries]))
    return path


def computed(name: str, published: float, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "published": published,
        "parts": ["registry"],
        "reproduced": {"query": "naive", "value": "n"},
    } | more


@pytest.fixture
def queries(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / f"{name}.parquet" for name in ("naive", "right")}
    pd.DataFrame({"n": [10.0]}).to_parquet(files["naive"])
    pd.DataFrame({"n": [7.0, 8.0], "k": ["x", "y"]}).to_parquet(files["right"])
    return files


def write_coverage(folder: Path, present: int) -> Path:
    path = folder / "coverage.parquet"
    row = {"part": "registry", "expected": 3, "present": present, "detail": "one file is absent"}
    pd.DataFrame([row]).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("entry", "present", "verdict", "note"),
    [
        (computed("a", 10), 3, "reproduced", ""),
        (computed("a", 10.4, tolerance=0.5), 3, "reproduced", ""),
        (computed("a", 10.6, tolerance=0.5), 3, "differs", ""),
        (computed("a", 11), 2, "partial", "one file is absent"),
        (computed("a", 10), 2, "reproduced", ""),
        (computed("a", 11, parts=["bases"]), 2, "differs", ""),
        (computed("a", 11, note="why"), 2, "partial", "one file is absent; why"),
        (computed("a", 11, reproduced=NOTHING), 3, "partial", "nothing to compute it from"),
        (
            {"id": "a", "published": 1, "not_archived": "never kept"},
            3,
            "not archived",
            "never kept",
        ),
    ],
)
def test_verdict(
    tmp_path: Path,
    queries: dict[str, Path],
    entry: dict[str, Any],
    present: int,
    verdict: str,
    note: str,
) -> None:
    claims = read_claims(write_claims(tmp_path, entry), SCHEMA)
    row = judge_claims(claims, queries, write_coverage(tmp_path, present)).iloc[0]
    assert (row["verdict"], row["note"]) == (verdict, note)


def test_both_definitions_stand_side_by_side(tmp_path: Path, queries: dict[str, Path]) -> None:
    right = {"query": "right", "value": "n", "where": "k = 'y'"}
    path = write_claims(tmp_path, computed("a", 10, corrected=right))
    assert queries_of(read_claims(path, SCHEMA)) == ["naive", "right"]
    output = tmp_path / "claims.csv"
    write_verdicts(path, SCHEMA, queries, write_coverage(tmp_path, 3), output)
    table = pd.read_csv(output)
    assert tuple(table.columns) == COLUMNS
    assert table[["reproduced", "corrected"]].to_dict("records") == [
        {"reproduced": 10.0, "corrected": 8.0}
    ]


def test_a_corrected_number_says_what_it_lacks(tmp_path: Path, queries: dict[str, Path]) -> None:
    right = {"query": "right", "value": "max(n)", "parts": ["registry"]}
    entry = computed("a", 10, parts=["subset"], corrected=right, note="why")
    claims = read_claims(write_claims(tmp_path, entry), SCHEMA)
    row = judge_claims(claims, queries, write_coverage(tmp_path, 2)).iloc[0]
    assert row["verdict"] == "reproduced"
    assert row["note"] == "why; corrected rests on part of the data: one file is absent"


def test_an_ambiguous_value_names_the_claim(tmp_path: Path, queries: dict[str, Path]) -> None:
    entry = computed("vague", 1, reproduced={"query": "right", "value": "n"})
    claims = read_claims(write_claims(tmp_path, entry), SCHEMA)
    with pytest.raises(ClaimError, match=r"'vague'.*fits 2 rows"):
        judge_claims(claims, queries, write_coverage(tmp_path, 3))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([computed("a", 1, tolerence=2)], "did you mean 'tolerance'"),
        ([computed("a", 1), computed("a", 2)], "two claims are named 'a'"),
        ([{"id": "a", "published": 1}], "claims.yaml"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, entries: list[Any], message: str) -> None:
    with pytest.raises((ConfigError, ClaimError), match=message):
        read_claims(write_claims(tmp_path, *entries), SCHEMA)


@pytest.mark.parametrize(
    ("published", "tolerance", "ends", "verdict"),
    [
        (8.2, 0, {"low": "n - 1", "high": "n + 1"}, "agrees"),
        (8.2, 0, {"low": "n - 0.1", "high": "n + 0.1"}, "differs"),
        (8.2, 0.3, {}, "agrees"),
        (8.2, 0.1, {}, "differs"),
        (8.2, 0.1, {"low": "NULL", "high": "NULL"}, "differs"),
    ],
)
def test_a_measurement_agrees_within_its_interval(
    tmp_path: Path,
    queries: dict[str, Path],
    published: float,
    tolerance: float,
    ends: dict[str, str],
    verdict: str,
) -> None:
    measured = {"query": "right", "value": "n", "where": "k = 'y'"} | ends
    entry = {"id": "a", "published": published, "tolerance": tolerance, "measured": measured}
    claims = read_claims(write_claims(tmp_path, entry | {"not_archived": "never kept"}), SCHEMA)
    assert queries_of(claims) == ["right"]
    [row] = judge_claims(claims, queries, write_coverage(tmp_path, 3)).to_dict("records")
    assert (row["verdict"], row["measured"], row["measured_verdict"]) == (
        "not archived",
        8.0,
        verdict,
    )


def test_what_was_not_measured_has_no_verdict(tmp_path: Path, queries: dict[str, Path]) -> None:
    entry = computed("a", 10, measured={"query": "right", "value": "n", "where": "false"})
    claims = read_claims(write_claims(tmp_path, entry), SCHEMA)
    [row] = judge_claims(claims, queries, write_coverage(tmp_path, 3)).to_dict("records")
    assert (row["measured"], row["measured_verdict"]) == (None, "")
