"""Draw fig_layer_repetition."""

from pullstudy.errors import report_to
from pullstudy.figures.landscape import draw_layer_repetition
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_layer_repetition, dict(snakemake.input.items()), dict(snakemake.output.items()))
