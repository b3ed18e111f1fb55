"""Draw fig_cost_by_nodes."""

from pullstudy.errors import report_to
from pullstudy.figures.cost import draw_costs
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_costs, dict(snakemake.input.items()), dict(snakemake.output.items()))
