"""The cosine histogram of a corpus from its shards."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.histograms import gather_cosine_histogram
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]), empty_instead(cosine_histogram=snakemake.output.histogram):
    gather_cosine_histogram(
        [Path(shard) for shard in snakemake.input.shards],
        Path(snakemake.input.vectors),
        snakemake.wildcards.corpus,
        Path(snakemake.output.histogram),
    )
