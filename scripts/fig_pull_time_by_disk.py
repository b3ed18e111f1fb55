"""Draw fig_pull_time_by_disk."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.pulls import draw_disks

with report_to(snakemake.log[0]):
    draw_files(draw_disks, dict(snakemake.input.items()), dict(snakemake.output.items()))
