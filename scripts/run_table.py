"""One SQL file over the study's tables, its rows as CSV too."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.query import export_csv, run_query

with report_to(snakemake.log[0]):
    run_query(Path(snakemake.input.sql), snakemake.params.views, Path(snakemake.output.rows))
    export_csv(Path(snakemake.output.rows), Path(snakemake.output.csv))
