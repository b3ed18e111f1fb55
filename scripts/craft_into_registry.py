"""Study files to images in a real registry."""

from pathlib import Path

from pullstudy.craft.stage import CraftStage
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    stage = CraftStage(snakemake.params.options, snakemake.input.tables, snakemake.params.seed)
    stage.craft_into_registry(Path(snakemake.params.journal), Path(snakemake.output.crafted_images))
