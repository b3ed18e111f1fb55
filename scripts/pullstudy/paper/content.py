"""Gather what the template shows from the results of a run: nothing of it is typed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pandas as pd
import pyarrow.parquet as pq

from pullstudy.paper.numbers import say_cell, say_number

# A longer table is cut in print; its file has all rows.
ROWS_PRINTED = 40
_TEXT_LENGTH_MAX = 60
_SHORT_REASON = "data are missing (Table 1)"
_SHORT_RESERVE = "corrected: data are missing"
_NUMBERS = ("published", "reproduced", "corrected", "measured", "measured_low", "measured_high")
_find_header = re.compile(r"^-- (\w+): +(.*?)(?=^-- \w+: |^[^-]|^$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Results:
    """Where the results of a run are.

    figures: PDF by stem. tables: rows (Parquet) by stem. categories: of each figure. sql and
    captions: folders of the queries and of the figures' captions.
    """

    claims: Path
    coverage: Path
    figures: Mapping[str, str]
    tables: Mapping[str, str]
    categories: Mapping[str, str]
    sql: str
    captions: str


def gather_content(
    results: Results, config: Mapping[str, Any], run: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that the template shows, as JSON can hold it.

    run: versions, digests and the archive, as `describe_run` of `provenance` gives them.
    """
    coverage = _list_coverage(results.coverage)
    claims = list_claims(results.claims, {row["detail"] for row in coverage})
    return {
        "study": config["study"],
        "config": [[key, _say_setting(value)] for key, value in _flatten(config)],
        "run": run,
        "claims": claims,
        "verdicts": dict(sorted(Counter(claim["verdict"] for claim in claims).items())),
        "coverage": coverage,
        "figures": [
            {
                "stem": stem,
                "category": results.categories[stem],
                "caption": render_caption(Path(results.captions, f"{stem}.rst"), config),
                "path": f"/{path}",
                "command": f"scripts/run{_overlay(config)} {stem}",
            }
            for stem, path in results.figures.items()
        ],
        "tables": {
            stem: describe_table(stem, Path(path), Path(results.sql, f"{stem}.sql"))
            for stem, path in results.tables.items()
        },
    }


def list_claims(path: Path, reasons: Iterable[str]) -> list[dict[str, Any]]:
    """Read `claims.csv`, every number also as it is printed: with its unit (text) and without.

    reasons: what is missing of the data, which the table of coverage says; cut short in notes.
    """
    frame = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in _NUMBERS})
    rows: list[dict[str, Any]] = []
    for row in frame.to_dict("records"):
        printed: dict[str, Any] = {}
        for name in _NUMBERS:
            value = None if pd.isna(row[name]) else float(row[name])
            unit = "dollars" if row["unit"] == "dollars" else ""
            printed[f"{name}_text"] = say_number(value, row["unit"])
            printed[f"{name}_number"] = say_number(value, unit)
        note = row["note"]
        for detail in reasons:
            note = note.replace(detail, _SHORT_REASON)
        note = note.replace(f"corrected rests on part of the data: {_SHORT_REASON}", _SHORT_RESERVE)
        names = ("id", "statement", "unit", "verdict", "measured_verdict")
        texts = {name: row[name] for name in names}
        rows.append({**texts, "note": note, **printed})
    return rows


def describe_table(stem: str, rows: Path, sql: Path) -> dict[str, Any]:
    """Return a table with its cells as they are printed, and what its query says of it."""
    table = pq.read_table(rows)
    header = dict(read_header(sql))
    cells = table.slice(0, ROWS_PRINTED).to_pylist()
    return {
        "stem": stem,
        "question": header.get("Question", ""),
        "definition": header.get("Definition", ""),
        "columns": table.column_names,
        "numeric": [_is_number(field.type) for field in table.schema],
        "rows": [[_shorten(say_cell(value)) for value in row.values()] for row in cells],
        "row_count": table.num_rows,
    }


def read_header(sql: Path) -> Iterable[tuple[str, str]]:
    """Yield what the comment at the top of a SQL file says: Question, Grain, Definition, Slide."""
    for match in _find_header.finditer(sql.read_text()):
        words = (line.removeprefix("--").strip() for line in match[2].splitlines())
        yield match[1], " ".join(words).strip()


def render_caption(path: Path, config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Fill in a caption of the report; returns pieces of text, each marked as code or not."""
    template = jinja2.Template(path.read_text())
    text = " ".join(template.render(snakemake=SimpleNamespace(config=config)).split())
    pieces = re.split(r"``(.+?)``", text)
    return [
        {"text": piece, "kind": "code" if number % 2 else "text"}
        for number, piece in enumerate(pieces)
        if piece
    ]


def _list_coverage(path: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(path).to_pylist()
    return [
        {**row, "expected": say_number(row["expected"]), "present": say_number(row["present"]),
         "is_complete": row["present"] >= row["expected"]}
        for row in rows
    ]  # fmt: skip


def _say_setting(value: Any) -> str:
    return str(value) if isinstance(value, int) else say_cell(value)


def _overlay(config: Mapping[str, Any]) -> str:
    return "" if config["study"] == "sample" else f" --configfile config/{config['study']}.yaml"


def _flatten(node: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_number(kind: Any) -> bool:
    return str(kind).startswith(("int", "uint", "double", "float", "decimal"))


def _shorten(text: str) -> str:
    return text if len(text) <= _TEXT_LENGTH_MAX else f"{text[: _TEXT_LENGTH_MAX - 1]}…"
