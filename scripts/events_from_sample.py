"""Event logs of made-up clusters."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.sample.pulls import write_events

with report_to(snakemake.log[0]):
    write_events(
        Path(snakemake.input.plan),
        snakemake.params.seed,
        Path(snakemake.output.events),
        Path(snakemake.output.coverage),
    )
