"""`pullstudy pull`: measure pulls of a study's images by real nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pull(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="What to pull, and how.")],
    backend: Annotated[str, typer.Option(help="What pulls: embedded, docker, containerd, …")],
    out: Annotated[Path, typer.Option(help="Folder for the tables; run again with it to go on.")],
) -> None:
    """Pull images on real nodes and write tables of pulls, layers, nodes and jobs.

    A run that was stopped goes on where it was. Credentials are those of `docker login`.
    """
    # Loaded here so that `pullstudy --help` need not wait for them.
    from pullstudy.cli.pull_display import PullDisplay
    from pullstudy.pulls.backends import load_backend
    from pullstudy.pulls.measure import measure

    try:
        with PullDisplay() as display:
            measured = measure(study, load_backend(backend), out, display)
    except KeyboardInterrupt:
        typer.echo("pullstudy: stopped; run again to go on", err=True)
        raise typer.Exit(130) from None
    failed = f", {measured.failed} of them failed" if measured.failed else ""
    before = f" ({measured.done_before} trials were done before)" if measured.done_before else ""
    typer.echo(f"{measured.pulls} pulls in {out / 'pulls.parquet'}{failed}{before}")
