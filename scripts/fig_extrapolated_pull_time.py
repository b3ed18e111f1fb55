"""Draw fig_extrapolated_pull_time."""

from pullstudy.errors import report_to
from pullstudy.figures.clusters import draw_extrapolations
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_extrapolations, dict(snakemake.input.items()), dict(snakemake.output.items()))
