"""Draw fig_repository_jaccard."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.similarity import draw_repository_jaccard

with report_to(snakemake.log[0]):
    draw_files(
        draw_repository_jaccard, dict(snakemake.input.items()), dict(snakemake.output.items())
    )
