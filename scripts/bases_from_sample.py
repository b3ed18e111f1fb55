"""A made-up classification by base image to a table."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.sample.bases import write_bases

with report_to(snakemake.log[0]):
    write_bases(
        Path(snakemake.input.ecosystem),
        Path(snakemake.input.images),
        snakemake.params.seed,
        Path(snakemake.output.bases).parent,
    )
