"""The model of the pulls, calibrated on those that were measured."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.pulls.extrapolate import Plan, extrapolate
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]), empty_instead(**dict(snakemake.output.items())):
    extrapolate(
        Path(snakemake.input.pulls),
        list(map(Path, snakemake.input.images)),
        Path(snakemake.output.extrapolations).parent,
        Plan(snakemake.params.cluster_sizes, seed=snakemake.params.seed),
    )
