"""Draw fig_node_coordination."""

from pullstudy.errors import report_to
from pullstudy.figures.clusters import draw_coordination
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_coordination, dict(snakemake.input.items()), dict(snakemake.output.items()))
