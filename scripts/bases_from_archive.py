"""The archive's classification by base image to a table."""

from pathlib import Path

from pullstudy.archive.published import tabulate_bases
from pullstudy.archive.record import read_record
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    tabulate_bases(read_record(Path(snakemake.input.archive)), Path(snakemake.output.bases).parent)
