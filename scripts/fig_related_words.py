"""Draw fig_related_words."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.similarity import draw_related_words

with report_to(snakemake.log[0]):
    draw_files(draw_related_words, dict(snakemake.input.items()), dict(snakemake.output.items()))
