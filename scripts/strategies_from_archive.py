"""Container sets of the archive to tables."""

from pathlib import Path

from pullstudy.archive.record import read_record
from pullstudy.archive.strategies import tabulate_container_sets
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    tabulate_container_sets(
        read_record(Path(snakemake.input.archive)), Path(snakemake.output.container_sets).parent
    )
