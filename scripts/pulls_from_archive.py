"""Event logs of the archive to tables."""

from pathlib import Path

from pullstudy.archive.record import read_record
from pullstudy.errors import report_to
from pullstudy.pulls.coverage import cover_archive
from pullstudy.pulls.replay import replay_archive
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]):
    archive = read_record(Path(snakemake.input.archive))
    folder = Path(snakemake.output.pulls).parent
    with empty_instead(**dict(snakemake.output.items())):
        replay_archive(archive, folder)
    cover_archive(archive, folder)
