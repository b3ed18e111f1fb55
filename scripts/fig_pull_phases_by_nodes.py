"""Draw fig_pull_phases_by_nodes."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.phases import draw_phases_by_nodes

with report_to(snakemake.log[0]):
    draw_files(draw_phases_by_nodes, dict(snakemake.input.items()), dict(snakemake.output.items()))
