"""The command line: one module a command."""

from __future__ import annotations

import sys

import typer

from pullstudy.cli.bases import bases
from pullstudy.cli.compare import compare
from pullstudy.cli.cost import cost
from pullstudy.cli.craft import craft
from pullstudy.cli.crawl import crawl
from pullstudy.cli.harvest import harvest
from pullstudy.cli.inspect import inspect
from pullstudy.cli.pull import pull
from pullstudy.cli.replay import replay
from pullstudy.cli.tables import tables
from pullstudy.errors import PullstudyError

# Markdown, so that help is wrapped to the terminal and not where the source breaks lines.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")
for command in (inspect, cost, crawl, harvest, craft, pull, replay, bases, compare, tables):
    app.command()(command)


@app.callback()
def _commands() -> None:
    """Rebuild, check and repeat the study of how HPC containers are built and pulled."""


def main() -> None:
    """Run a command; an error the user can act on is one line and exit code 1."""
    try:
        app()
    except PullstudyError as exc:
        print(f"pullstudy: {exc}", file=sys.stderr)
        raise SystemExit(1) from None
