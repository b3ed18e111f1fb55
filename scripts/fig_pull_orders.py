"""Draw fig_pull_orders."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.strategies import draw_pull_orders

with report_to(snakemake.log[0]):
    draw_files(draw_pull_orders, dict(snakemake.input.items()), dict(snakemake.output.items()))
