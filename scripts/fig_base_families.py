"""Draw fig_base_families."""

from pullstudy.errors import report_to
from pullstudy.figures.landscape import draw_base_families
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_base_families, dict(snakemake.input.items()), dict(snakemake.output.items()))
