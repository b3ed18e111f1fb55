"""`pullstudy pull`: measure pulls of a study's images by real nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pullstudy.pulls.backend import Backend


def pull(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="What to pull, and how.")],
    backend: Annotated[
        str, typer.Option(help="What pulls: embedded, docker, containerd, kubernetes.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables; run again with it to go on.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run it whatever it is said to cost.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print what would be made, and make none.")] = False,
    clean: Annotated[bool, typer.Option(help="Delete what a killed run has left behind.")] = False,
) -> None:
    """Pull images on real nodes and write tables of pulls, layers, nodes and jobs.

    A run that was stopped goes on where it was. Credentials are those of `docker login`.
    """
    # Loaded here so that `pullstudy --help` need not wait for them.
    from pullstudy.cli.pull_display import PullDisplay
    from pullstudy.errors import ConfigError
    from pullstudy.pulls.backend import PaidBackend
    from pullstudy.pulls.backends import load_backend
    from pullstudy.pulls.measure import measure

    chosen = load_backend(backend)
    if isinstance(chosen, PaidBackend):
        chosen.has_assent = yes
    if dry_run or clean:
        _show(study, chosen, is_cleaning=clean)
        return
    if out is None:
        raise ConfigError("--out: give a folder for the tables")
    try:
        with PullDisplay() as display:
            measured = measure(study, chosen, out, display)
    except KeyboardInterrupt:
        typer.echo("pullstudy: stopped; run again to go on", err=True)
        raise typer.Exit(130) from None
    failed = f", {measured.failed} of them failed" if measured.failed else ""
    before = f" ({measured.done_before} trials were done before)" if measured.done_before else ""
    typer.echo(f"{measured.pulls} pulls in {out / 'pulls.parquet'}{failed}{before}")


def _show(study: Path, backend: Backend, *, is_cleaning: bool) -> None:
    """Print what a study would make, or take away what it has left."""
    from pullstudy.errors import ConfigError
    from pullstudy.pulls.backend import CleanableBackend, PaidBackend
    from pullstudy.pulls.measure import check_strategies
    from pullstudy.pulls.study import load_pull_study

    plan = load_pull_study(study)
    check_strategies(plan, backend)
    if is_cleaning and isinstance(backend, CleanableBackend):
        lines = backend.clean(plan)
    elif not is_cleaning and isinstance(backend, PaidBackend):
        lines = backend.preview(plan)
    elif is_cleaning:
        raise ConfigError(f"--clean: backend {backend.name} leaves nothing behind")
    else:
        raise ConfigError(f"--dry-run: backend {backend.name} makes nothing but pulls")
    for line in lines:
        typer.echo(line)
