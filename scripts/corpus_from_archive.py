"""Dockerfiles of the archive to tables."""

from pathlib import Path

from pullstudy.archive.corpus import tabulate_corpus
from pullstudy.archive.record import read_record
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    tabulate_corpus(
        read_record(Path(snakemake.input.archive)), Path(snakemake.output.dockerfiles).parent
    )
