"""Draw fig_tags_by_repository."""

from pullstudy.errors import report_to
from pullstudy.figures.landscape import draw_tags
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_tags, dict(snakemake.input.items()), dict(snakemake.output.items()))
