"""Crawled Dockerfiles to tables."""

from pathlib import Path

from pullstudy.corpus.tabulate import tabulate_crawl
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    tabulate_crawl(
        Path(snakemake.input.record),
        Path(snakemake.params.parts),
        Path(snakemake.output.dockerfiles).parent,
    )
