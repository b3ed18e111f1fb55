"""Draw fig_practices."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.practices import draw_practices

with report_to(snakemake.log[0]):
    draw_files(draw_practices, dict(snakemake.input.items()), dict(snakemake.output.items()))
