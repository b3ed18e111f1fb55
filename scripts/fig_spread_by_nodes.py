"""Draw fig_spread_by_nodes."""

from pullstudy.errors import report_to
from pullstudy.figures.clusters import draw_spreads
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_spreads, dict(snakemake.input.items()), dict(snakemake.output.items()))
