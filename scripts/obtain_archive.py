"""The published archive, found or downloaded, and checked."""

from pathlib import Path

from pullstudy.archive.record import record_archive
from pullstudy.errors import report_to

with report_to(snakemake.log[0]):
    record_archive(
        snakemake.params.source,
        snakemake.params.sha256,
        Path(snakemake.params.cache),
        Path(snakemake.output.record),
    )
