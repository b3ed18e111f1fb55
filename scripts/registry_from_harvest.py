"""The harvested tables, where the study looks for them."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.registry.live import copy_tables

with report_to(snakemake.log[0]):
    copy_tables(map(Path, snakemake.input.tables), Path(snakemake.output.tables[0]).parent)
