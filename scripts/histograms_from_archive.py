"""Cosine histograms of the archive to tables."""

from pathlib import Path

from pullstudy.archive.histograms import tabulate_histograms
from pullstudy.archive.record import read_record
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    tabulate_histograms(
        read_record(Path(snakemake.input.archive)), Path(snakemake.output.published_cosine).parent
    )
