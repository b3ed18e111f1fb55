"""Pulls that were measured before: their tables, copied."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.registry.live import copy_tables

with report_to(snakemake.log[0]):
    copy_tables(map(Path, snakemake.input), Path(snakemake.output.pulls).parent)
