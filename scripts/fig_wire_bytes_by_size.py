"""Draw fig_wire_bytes_by_size."""

from pullstudy.errors import report_to
from pullstudy.figures.output import draw_files
from pullstudy.figures.pulls import draw_wire_bytes

with report_to(snakemake.log[0]):
    draw_files(draw_wire_bytes, dict(snakemake.input.items()), dict(snakemake.output.items()))
