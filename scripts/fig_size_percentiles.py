"""Draw fig_size_percentiles."""

from pullstudy.errors import report_to
from pullstudy.figures.landscape import draw_size_percentiles
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_size_percentiles, dict(snakemake.input.items()), dict(snakemake.output.items()))
