"""Made-up manifests and configs to tables."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.sample.harvest import write_registry

with report_to(snakemake.log[0]):
    write_registry(
        Path(snakemake.input.ecosystem),
        snakemake.params.size,
        snakemake.params.seed,
        Path(snakemake.output.images).parent,
    )
