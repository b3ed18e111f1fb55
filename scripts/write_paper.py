"""The paper of this run, as PDF."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.paper.content import Results, gather_content
from pullstudy.paper.typeset import typeset
from pullstudy.provenance import describe_run

with report_to(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    run = describe_run(list(map(Path, given.tracked)), next(map(Path, given.archive), None))
    results = Results(Path(given.claims), Path(given.coverage), *params.found)
    typeset(
        Path(given.template),
        gather_content(results, params.config, run),
        Path(snakemake.output.pdf),
    )
