"""`pullstudy tables`: what the tables of a study hold, column by column."""

from __future__ import annotations

from typing import Annotated

import typer

from pullstudy.errors import ConfigError

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="TABLE", help="Tables to describe.", show_default=False),
]
AsMarkdown = Annotated[
    bool, typer.Option("--markdown", help="Print the whole data dictionary as Markdown.")
]


def tables(names: Names = None, markdown: AsMarkdown = False) -> None:
    """Say what the tables of a study hold: the list of them, or the columns of some."""
    from pullstudy.tables.dictionary import choose_tables, write_markdown

    if markdown:
        if names:
            raise ConfigError("--markdown prints all tables; leave out their names")
        typer.echo(write_markdown(), nl=False)
    elif names:
        for table in choose_tables(names):
            _print_columns(table.name)
    else:
        _print_list()


def _print_list() -> None:
    from rich.table import Table

    from pullstudy.cli.images import open_console
    from pullstudy.tables.dictionary import choose_tables

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="cyan")
    shown.add_column("table", no_wrap=True)
    shown.add_column("one row")
    for table in choose_tables([]):
        shown.add_row(table.name, table.grain)
    open_console().print(shown)


def _print_columns(name: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from pullstudy.cli.images import open_console
    from pullstudy.tables import TABLES
    from pullstudy.tables.dictionary import kind_of

    table = TABLES[name]
    console = open_console()
    console.print(Text(f"{table.name}: {table.grain}", style="bold"))
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="cyan")
    shown.add_column("column", no_wrap=True)
    shown.add_column("type", no_wrap=True)
    shown.add_column("meaning")
    for column in table.columns:
        kind = kind_of(column) + ("?" if column.nullable else "")
        shown.add_row(column.name, kind, Text(column.meaning))
    console.print(shown)
