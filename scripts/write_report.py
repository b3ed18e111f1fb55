"""All figures and tables of this run on one page."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.paper.report import write_report

with report_to(snakemake.log[0]):
    params = snakemake.params
    write_report(
        snakemake.input.record,
        Path(params.snakefile),
        params.overrides,
        Path(snakemake.output.page),
    )
