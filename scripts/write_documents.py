"""The documents of a text corpus."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.corpora import write_corpus

with report_to(snakemake.log[0]):
    write_corpus(
        snakemake.wildcards.corpus,
        {name: Path(path) for name, path in snakemake.input.items()},
        Path(snakemake.output.documents),
    )
