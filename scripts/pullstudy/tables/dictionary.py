"""The data dictionary: every table with its grain and columns, in words or as Markdown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import pyarrow as pa

from pullstudy.errors import TableError
from pullstudy.tables import TABLES
from pullstudy.tables.columns import LABEL, UTC, Column, Table

_KINDS: dict[pa.DataType, str] = {
    LABEL: "label",
    UTC: "time (UTC)",
    pa.string(): "text",
    pa.bool_(): "yes or no",
    pa.int32(): "integer",
    pa.int64(): "integer",
    pa.float64(): "number",
}
_INTRODUCTION = """\
# Data dictionary

All tables that a study writes as Parquet files, `results/<study>/tables/<stage>/<table>.parquet`,
and that the queries in `workflow/sql` read. Every source of a stage writes the same tables.
Times are UTC, sizes bytes and durations seconds; the unit stands in the column's name. A label is a
text of few different values. What may be empty is marked.

Written by `pullstudy tables --markdown` from `scripts/pullstudy/tables`; a test holds the two
together.
"""


def choose_tables(names: Iterable[str]) -> list[Table]:
    """Return tables by their names, all when there are none. Raises TableError."""
    chosen = list(names)
    for name in chosen:
        if name not in TABLES:
            close = difflib.get_close_matches(name, TABLES, n=1)
            advice = f"did you mean {close[0]!r}?" if close else "see `pullstudy tables`"
            raise TableError(f"there is no table {name!r}; {advice}")
    return [TABLES[name] for name in chosen] or list(TABLES.values())


def kind_of(column: Column) -> str:
    """Say a column's type in words."""
    if pa.types.is_list(column.type):
        return f"list of {_KINDS.get(column.type.value_type, 'number')}s"
    return _KINDS[column.type]


def write_markdown() -> str:
    """Return the whole dictionary as a Markdown document."""
    parts = [_INTRODUCTION]
    for table in TABLES.values():
        rows = [
            f"| `{column.name}` | {kind_of(column)}{', may be empty' if column.nullable else ''} "
            f"| {_escape(column.meaning)} |"
            for column in table.columns
        ]
        head = [f"## `{table.name}`", "", f"A row is {_escape(table.grain)}.", ""]
        parts.append("\n".join([*head, "| column | type | meaning |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
