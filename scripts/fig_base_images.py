"""Draw fig_base_images."""

from pullstudy.errors import report_to
from pullstudy.figures.landscape import draw_base_images
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_base_images, dict(snakemake.input.items()), dict(snakemake.output.items()))
