"""The command line: one module a command."""

from __future__ import annotations

import sys

import typer

from pullstudy.cli.bases import bases
from pullstudy.cli.compare import compare
from pullstudy.cli.craft import craft
from pullstudy.cli.crawl import crawl
from pullstudy.cli.harvest import harvest
from pullstudy.cli.pull import pull
from pullstudy.cli.replay import replay
from pullstudy.errors import PullstudyError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (crawl, harvest, craft, pull, replay, bases, compare):
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
