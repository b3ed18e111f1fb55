"""Empty tables, for a stage that a study does not have."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.tables import write_empty

with report_to(snakemake.log[0]):
    for name, path in snakemake.output.items():
        write_empty(name, Path(path))
