"""Pulls of a pull study's images, measured."""

from pathlib import Path

from pullstudy.cli.pull_display import PullDisplay
from pullstudy.errors import report_to
from pullstudy.pulls.stage import measure_stage

with report_to(snakemake.log[0]), PullDisplay() as display:
    files = {
        "crafted_images": Path(snakemake.input.crafted_images),
        "crafted": Path(snakemake.params.layout),
    }
    out = Path(snakemake.output.pulls).parent
    work, backend = Path(snakemake.params.folder), snakemake.params.backend
    measure_stage(Path(snakemake.input.study), backend, work, out, files, display)
