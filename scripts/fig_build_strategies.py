"""Draw fig_build_strategies."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.strategies import draw_build_strategies

with report_to(snakemake.log[0]):
    draw_files(draw_build_strategies, dict(snakemake.input.items()), dict(snakemake.output.items()))
