"""Container sets of today, asked of their registries."""

from pathlib import Path

from pullstudy.bases.container_sets import harvest_container_sets
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    harvest_container_sets(
        snakemake.params.sets,
        snakemake.params.options,
        Path(snakemake.output.container_sets).parent,
    )
