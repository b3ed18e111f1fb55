"""Draw fig_experiment_time_by_nodes."""

from pullstudy.errors import report_to
from pullstudy.figures.clusters import draw_experiments
from pullstudy.figures.output import draw_files

with report_to(snakemake.log[0]):
    draw_files(draw_experiments, dict(snakemake.input.items()), dict(snakemake.output.items()))
