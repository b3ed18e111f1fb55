"""Made-up Dockerfiles to tables."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.sample.dockerfiles import write_corpus

with report_to(snakemake.log[0]):
    write_corpus(
        Path(snakemake.input.ecosystem),
        snakemake.params.size,
        snakemake.params.seed,
        Path(snakemake.output.dockerfiles).parent,
    )
