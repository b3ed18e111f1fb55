"""Draw fig_time_to_run_by_strategy."""

from pullstudy.errors import report_to
from pullstudy.figures.clusters import draw_strategies
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_strategies, dict(snakemake.input.items()), dict(snakemake.output.items()))
