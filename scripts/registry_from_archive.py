"""Manifests and configs of the archive to tables."""

from pathlib import Path

from pullstudy.archive.record import read_record
from pullstudy.archive.registry import tabulate_registry
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    tabulate_registry(
        read_record(Path(snakemake.input.archive)), Path(snakemake.output.images).parent
    )
