"""Draw fig_pull_time_by_change."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.phases import draw_changes

with report_to(snakemake.log[0]):
    draw_files(draw_changes, dict(snakemake.input.items()), dict(snakemake.output.items()))
