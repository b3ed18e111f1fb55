"""How far the images of each container set are the same."""

from pathlib import Path

from pullstudy.bases.tabulate import compare_container_sets
from pullstudy.errors import report_to
from pullstudy.tables import empty_instead

out = dict(snakemake.output.items())
with report_to(snakemake.log[0]), empty_instead(**out):
    compare_container_sets(*map(Path, snakemake.input), Path(out["image_comparisons"]))
