"""Made-up container sets to tables."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.sample.strategies import write_strategies

with report_to(snakemake.log[0]):
    write_strategies(
        Path(snakemake.input.ecosystem),
        snakemake.params.seed,
        Path(snakemake.output.container_sets).parent,
    )
