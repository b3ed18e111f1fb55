"""The verdict on every claim of the paper."""

from pathlib import Path

from pullstudy.claims import write_verdicts
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    write_verdicts(
        Path(snakemake.input.claims),
        Path(snakemake.input.schema),
        dict(zip(snakemake.params.queries, map(Path, snakemake.input.queries), strict=True)),
        Path(snakemake.input.coverage),
        Path(snakemake.output.csv),
    )
