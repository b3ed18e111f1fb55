"""One SQL file over the study's tables."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.query import run_query

with report_to(snakemake.log[0]):
    run_query(Path(snakemake.input.sql), snakemake.params.views, Path(snakemake.output.rows))
