"""Comparisons, trends and spreads of the measured pulls."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.pulls.comparisons import write_comparisons
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]), empty_instead(**dict(snakemake.output.items())):
    write_comparisons(
        Path(snakemake.input.pulls),
        Path(snakemake.output.comparisons).parent,
        snakemake.params.resamples,
        snakemake.params.seed,
    )
