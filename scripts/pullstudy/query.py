"""Run one SQL file over Parquet tables.

A SQL file is one SELECT over views named like tables or like other SQL files; where those lie is
the caller's business. One thread per query, so that sums come out the same to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from pullstudy.errors import QueryError
from pullstudy.files import replace_atomically

# Nothing is downloaded behind the user's back.
SETTINGS: dict[str, Any] = {"threads": 1, "autoinstall_known_extensions": False}

Views = Mapping[str, Sequence[Path | str]]


def list_views(sql: Path) -> list[str]:
    """List the views that the SELECT in `sql` reads, sorted. Raises QueryError."""
    text = sql.read_text()
    answer = duckdb.execute("SELECT json_serialize_sql($text)", {"text": text}).fetchone()
    tree = json.loads(answer[0]) if answer else {}
    if tree.get("error", True):
        raise QueryError(f"{sql}: {tree.get('error_message', 'no SELECT')}")
    if len(tree["statements"]) != 1:
        raise QueryError(f"{sql}: holds {len(tree['statements'])} statements, write one SELECT")
    return sorted(set(_tables_in(tree)) - set(_ctes_in(tree)))


def run_query(sql: Path, views: Views, output: Path) -> None:
    """Run the SELECT in `sql` and write its rows as Parquet to `output`, atomically.

    views: name of each view -> its Parquet files, one after the other. Raises QueryError.
    """
    try:
        with replace_atomically(output) as partial, connect(views) as connection:
            text = sql.read_text().rstrip().rstrip(";")
            connection.execute(
                f"COPY ({text}\n) TO {_quote(str(partial))} (FORMAT parquet, COMPRESSION zstd)"
            )
    except duckdb.Error as exc:
        raise QueryError(f"{sql}: {_first_line(exc)}") from exc


def export_csv(rows: Path, output: Path) -> None:
    """Write the rows of a Parquet file as CSV with a header, atomically."""
    with replace_atomically(output) as partial, connect({"rows": [rows]}) as connection:
        connection.execute(f"COPY rows TO {_quote(str(partial))} (FORMAT csv, HEADER)")


def read_value(query: Path, expression: str, where: str = "true") -> Any:
    """Evaluate `expression` on the one row of a query's Parquet file that fits `where`.

    Returns None when there is no such row: a study may lack what it rests on. Raises QueryError
    when there is more than one.
    """
    try:
        with connect({"query": [query]}) as connection:
            rows = connection.execute(f"SELECT {expression} FROM query WHERE {where}").fetchall()
    except duckdb.Error as exc:
        raise QueryError(f"{query.name}: {expression!r}: {_first_line(exc)}") from exc
    if len(rows) > 1:
        raise QueryError(f"{query.name}: {where!r} fits {len(rows)} rows, it must fit one")
    return rows[0][0] if rows else None


def connect(views: Views) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory with a view for each name in `views`."""
    connection = duckdb.connect(config=SETTINGS)
    for name, paths in views.items():
        identifier = '"' + name.replace('"', '""') + '"'
        files = ", ".join(_quote(str(path)) for path in paths)
        connection.execute(f"CREATE VIEW {identifier} AS SELECT * FROM read_parquet([{files}])")
    return connection


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _tables_in(node: Any) -> Iterator[str]:
    for item in _nodes(node):
        if item.get("type") == "BASE_TABLE":
            yield item["table_name"]


def _ctes_in(node: Any) -> Iterator[str]:
    for item in _nodes(node):
        if isinstance(item.get("cte_map"), dict):
            yield from (entry["key"] for entry in item["cte_map"]["map"])


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Walk a JSON tree and yield its objects."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)
