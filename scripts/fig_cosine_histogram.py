"""Draw fig_cosine_histogram."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.similarity import draw_cosine_histogram

with report_to(snakemake.log[0]):
    draw_files(draw_cosine_histogram, dict(snakemake.input.items()), dict(snakemake.output.items()))
