"""The images of a corpus as points in two dimensions."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.maps import write_document_map
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]), empty_instead(document_map=snakemake.output.points):
    write_document_map(
        Path(snakemake.input.vectors), Path(snakemake.output.points), **snakemake.params.settings
    )
