"""Repositories named in the config."""

from pathlib import Path

from pullstudy.corpus.listing import list_urls, write_listing
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    write_listing(list_urls(snakemake.params.urls), Path(snakemake.output.listing))
