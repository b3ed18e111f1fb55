"""Event logs of a folder to tables."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.pulls.replay import replay, walk_files

with report_to(snakemake.log[0]):
    replay(walk_files([Path(snakemake.input.events)]), Path(snakemake.output.pulls).parent)
