"""Repositories of the Research Software Encyclopedia."""

from pathlib import Path

from rich.console import Console

from pullstudy.corpus.listing import write_listing
from pullstudy.corpus.rsepedia import list_rsepedia
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    listing = list_rsepedia(snakemake.params.database, Console(stderr=True))
    write_listing(listing, Path(snakemake.output.listing))
