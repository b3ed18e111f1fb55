"""`pullstudy replay`: pull runs out of event logs that somebody has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def replay(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE_OR_FOLDER...",
            help="event logs, node lists and raw-times.json; of a folder all JSON files",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="folder for pulls.parquet, nodes.parquet, dropped.parquet, …")
    ],
    study: Annotated[
        str | None, typer.Option(help="name of the study; without it, what the paths say")
    ] = None,
) -> None:
    """Turn Kubernetes events into tables of pulls, nodes, jobs and what was left out."""
    # Loaded here, so that the other commands need not wait for it.
    from pullstudy.pulls.replay import replay as replay_files
    from pullstudy.pulls.replay import walk_files

    count = replay_files(walk_files(paths), out, study)
    typer.echo(f"{count} pulls in {out / 'pulls.parquet'}")
