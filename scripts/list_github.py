"""Repositories of organisations and users on GitHub."""

from pathlib import Path

from rich.console import Console

from pullstudy.corpus.github import list_github
from pullstudy.corpus.listing import write_listing
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    p, console = snakemake.params, Console(stderr=True)
    listing = list_github(p.owners, p.api_url, Path(p.cache), console, forks=p.forks)
    write_listing(listing, Path(snakemake.output.listing))
