"""What pulling costs: the slides' examples and the container sets, as table `costs`."""

from pathlib import Path

from pullstudy.cost.examples import read_slides
from pullstudy.cost.tabulate import write_costs
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    write_costs(
        read_slides(Path(snakemake.input.slides), Path(snakemake.input.schema)),
        Path(snakemake.input.strategies),
        Path(snakemake.input.pull_speed),
        snakemake.params.settings,
        Path(snakemake.output.costs),
    )
