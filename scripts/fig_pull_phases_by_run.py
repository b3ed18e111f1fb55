"""Draw fig_pull_phases_by_run."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.phases import draw_phases_by_run

with report_to(snakemake.log[0]):
    draw_files(draw_phases_by_run, dict(snakemake.input.items()), dict(snakemake.output.items()))
