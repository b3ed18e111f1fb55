"""Dockerfiles of the listed repositories, one part on disk per repository."""

from pathlib import Path

from rich.console import Console

from pullstudy.corpus.crawl import CrawlSettings
from pullstudy.corpus.listing import read_listing
from pullstudy.corpus.record import crawl_listing
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    listing, record = Path(snakemake.input.listing), Path(snakemake.output.record)
    parts, settings = Path(snakemake.params.parts), CrawlSettings(**snakemake.params.settings)
    crawl_listing(read_listing(listing), parts, record, settings, Console(stderr=True))
