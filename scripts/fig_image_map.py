"""Draw fig_image_map."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.similarity import draw_image_map

with report_to(snakemake.log[0]):
    draw_files(draw_image_map, dict(snakemake.input.items()), dict(snakemake.output.items()))
