"""Draw fig_image_size_by_year."""

from pullstudy.errors import report_to
from pullstudy.figures.by_year import draw_image_sizes
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_image_sizes, dict(snakemake.input.items()), dict(snakemake.output.items()))
