"""Where the results of this run come from."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.provenance import describe_run, write_provenance

with report_to(snakemake.log[0]):
    given = snakemake.input
    run = describe_run(list(map(Path, given.tracked)), next(map(Path, given.archive), None))
    output = Path(snakemake.output.record)
    write_provenance(output, run, snakemake.config, output.parent)
