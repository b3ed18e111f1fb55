"""What the paper states, beside what comes out: `resources/claims.yaml` to `claims.csv`.

A claim names the query that follows the paper's own method (`reproduced`) and, where that method
is naive, the query that does it right (`corrected`). What the published data cannot tell may have
been measured since (`measured`, with an interval). Nothing computed stands in the claims file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pullstudy.errors import ClaimError, QueryError
from pullstudy.files import replace_atomically
from pullstudy.query import read_value
from pullstudy.schemas import check_document, read_yaml

COLUMNS = (
    "id",
    "statement",
    "published",
    "reproduced",
    "corrected",
    "unit",
    "verdict",
    "note",
    # What was measured since, beside it.
    "measured",
    "measured_low",
    "measured_high",
    "measured_verdict",
)
_KEYS = ("reproduced", "corrected", "measured")


@dataclass(frozen=True)
class Value:
    """Where a number comes from: an expression over the one row of a query that fits `where`.

    parts: the parts of the data (rows of `coverage`) that it rests on. low, high: expressions for
    the ends of its interval, if it has one.
    """

    query: str
    value: str
    parts: tuple[str, ...] = ()
    where: str = "true"
    low: str = "NULL"
    high: str = "NULL"


@dataclass(frozen=True)
class Claim:
    """One number that the paper states.

    tolerance: largest absolute difference that still counts as reproduced, in `unit`.
    """

    id: str
    statement: str
    slide: str
    published: float
    unit: str
    tolerance: float = 0.0
    reproduced: Value | None = None
    corrected: Value | None = None
    measured: Value | None = None
    note: str = ""
    not_archived: str = ""


def read_claims(path: Path, schema: Path) -> list[Claim]:
    """Read and check the claims file. Raises ConfigError or ClaimError naming the entry."""
    entries = read_yaml(path)
    check_document(entries, schema, str(path))
    claims = [_read_claim(entry) for entry in entries]
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ClaimError(f"{path}: two claims are named {claim.id!r}; rename one")
        seen.add(claim.id)
    return claims


def _read_claim(entry: Mapping[str, Any]) -> Claim:
    values = {
        key: Value(**{"parts": entry.get("parts", ()), **entry[key]})
        for key in _KEYS
        if key in entry
    }
    return Claim(**{key: value for key, value in {**entry, **values}.items() if key != "parts"})


def queries_of(claims: Sequence[Claim]) -> list[str]:
    """List the queries that the claims read, sorted."""
    values = [v for claim in claims for v in (getattr(claim, key) for key in _KEYS) if v]
    return sorted({value.query for value in values})


def write_verdicts(
    claims: Path, schema: Path, queries: Mapping[str, Path], coverage: Path, output: Path
) -> None:
    """Judge the claims of a file and write `claims.csv`, atomically."""
    verdicts = judge_claims(read_claims(claims, schema), queries, coverage)
    with replace_atomically(output) as partial:
        verdicts.to_csv(partial, index=False)


def judge_claims(
    claims: Sequence[Claim], queries: Mapping[str, Path], coverage: Path
) -> pd.DataFrame:
    """Compute every claim and give its verdict.

    queries: Parquet file of each query; coverage: rows of part, expected, present, detail.
    Returns one row per claim with the columns of `COLUMNS`. Raises ClaimError naming the claim.
    """
    missing = _missing_parts(coverage)
    return pd.DataFrame([_judge(claim, queries, missing) for claim in claims], columns=COLUMNS)


def _judge(claim: Claim, queries: Mapping[str, Path], missing: Mapping[str, str]) -> dict[str, Any]:
    reproduced = _compute(claim, claim.reproduced, queries)
    verdict, reason = _verdict(claim, reproduced, missing)
    # What the verdict says already is not said again.
    reserves = [text for text in _missing_for(claim.corrected, missing) if text not in reason]
    reserve = f"corrected rests on part of the data: {'; '.join(reserves)}" if reserves else ""
    return {
        "id": claim.id,
        "statement": claim.statement,
        "published": claim.published,
        "reproduced": reproduced,
        "corrected": _compute(claim, claim.corrected, queries),
        **_judge_measured(claim, queries),
        "unit": claim.unit,
        "verdict": verdict,
        "note": "; ".join(text for text in (reason, claim.note, reserve) if text),
    }


def _judge_measured(claim: Claim, queries: Mapping[str, Path]) -> dict[str, Any]:
    """Compare a measurement with the claim: it agrees within its interval or the tolerance."""
    value = claim.measured
    low, high = (replace(value, value=end) if value else None for end in _ends_of(value))
    found = [_compute(claim, each, queries) for each in (value, low, high)]
    row: dict[str, Any] = dict(
        zip(("measured", "measured_low", "measured_high"), found, strict=True)
    )
    measured = found[0]
    if measured is None:
        return row | {"measured_verdict": ""}
    ends = [end for end in found if end is not None]
    is_near = abs(measured - claim.published) <= claim.tolerance
    is_within = min(ends) <= claim.published <= max(ends)
    return row | {"measured_verdict": "agrees" if is_near or is_within else "differs"}


def _ends_of(value: Value | None) -> tuple[str, str]:
    return (value.low, value.high) if value else ("NULL", "NULL")


def _verdict(claim: Claim, reproduced: float | None, missing: Mapping[str, str]) -> tuple[str, str]:
    """Give the verdict and the reason that the claim's own note does not give."""
    if claim.not_archived:
        return "not archived", claim.not_archived
    absent = _missing_for(claim.reproduced, missing)
    if reproduced is not None and abs(reproduced - claim.published) <= claim.tolerance:
        return "reproduced", ""
    if absent:
        return "partial", "; ".join(absent)
    if reproduced is None:
        return "partial", "nothing to compute it from"
    return "differs", ""


def _missing_for(value: Value | None, missing: Mapping[str, str]) -> list[str]:
    return [missing[part] for part in value.parts if part in missing] if value else []


def _compute(claim: Claim, value: Value | None, queries: Mapping[str, Path]) -> float | None:
    if value is None:
        return None
    try:
        number = read_value(queries[value.query], value.value, value.where)
    except QueryError as exc:
        raise ClaimError(f"claim {claim.id!r}: {exc}") from exc
    return None if number is None else float(number)


def _missing_parts(coverage: Path) -> dict[str, str]:
    frame = pd.read_parquet(coverage)
    short = frame[frame["present"] < frame["expected"]]
    return dict(zip(short["part"], short["detail"], strict=True))
