"""Draw fig_apt_history."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.practices import draw_apt_history

with report_to(snakemake.log[0]):
    draw_files(draw_apt_history, dict(snakemake.input.items()), dict(snakemake.output.items()))
