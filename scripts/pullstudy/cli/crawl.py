"""`pullstudy crawl`: Dockerfiles of git repositories to Parquet tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullstudy.errors import CorpusError

Urls = Annotated[
    list[str],
    typer.Argument(
        metavar="URL",
        help="Git repositories: any address that git takes without a password, or a path.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the tables; run again with it to go on.")]
Parallel = Annotated[int, typer.Option(min=1, help="Repositories fetched at once.")]
RepositoryMb = Annotated[float, typer.Option(min=0.001, help="MB taken of one repository.")]
DockerfileKb = Annotated[float, typer.Option(min=0.001, help="kB that a Dockerfile may have.")]
TimeoutSeconds = Annotated[
    float, typer.Option(min=0.001, help="Seconds after which a repository is left.")
]


def crawl(
    urls: Urls,
    out: Out,
    parallel: Parallel = 4,
    max_repository_mb: RepositoryMb = 100,
    max_dockerfile_kb: DockerfileKb = 1000,
    timeout_seconds: TimeoutSeconds = 300,
) -> None:
    """Fetch the Dockerfiles of git repositories into Parquet tables, and nothing else of them.

    Writes dockerfiles, instructions, stages, failures and coverage to OUT. A crawl that was stopped
    goes on where it was.
    """
    # Loaded here so that `pullstudy --help` need not wait for them.
    from rich.console import Console

    from pullstudy.corpus.crawl import CrawlSettings
    from pullstudy.corpus.listing import list_urls
    from pullstudy.corpus.record import crawl_listing
    from pullstudy.corpus.tabulate import tabulate_crawl

    listing = list_urls(urls)
    parts, record = out / "parts", out / "crawl.json"
    settings = CrawlSettings(
        parallel,
        max_repository_mb=max_repository_mb,
        max_dockerfile_kb=max_dockerfile_kb,
        timeout_seconds=timeout_seconds,
    )
    crawled = crawl_listing(listing, parts, record, settings, Console(stderr=True)).crawled
    tabulate_crawl(record, parts, out)
    typer.echo(f"tables in {out}")
    if all(repository.reason for repository in crawled):
        first = crawled[0]
        raise CorpusError(
            f"no repository could be had: {first.repository.url}: {first.reason}; "
            f"see {out / 'failures.parquet'}"
        )
