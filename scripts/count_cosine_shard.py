"""One shard of the cosine histogram of a corpus."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.histograms import write_cosine_shard
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]), empty_instead(cosine_shards=snakemake.output.counts):
    write_cosine_shard(
        Path(snakemake.input.vectors),
        Path(snakemake.output.counts),
        **snakemake.params.shard,
        centred=snakemake.params.centred,
        threads=snakemake.threads,
    )
