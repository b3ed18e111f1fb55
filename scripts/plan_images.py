"""Study files to the images that they stand for."""

from pathlib import Path

from pullstudy.craft.stage import CraftStage
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    stage = CraftStage(snakemake.params.options, snakemake.input.tables, snakemake.params.seed)
    stage.plan(Path(snakemake.output.planned_images))
