"""Jaccard similarities of a collection of layer-digest sets."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity import jaccard
from pullstudy.tables import empty_instead

out = snakemake.output
empty = {"jaccard_summary": out.summary, "jaccard_distribution": out.distribution}
with report_to(snakemake.log[0]), empty_instead(**empty):
    sets = jaccard.read_digest_sets(Path(snakemake.input.layers), snakemake.params.owner)
    collection = snakemake.wildcards.collection
    jaccard.write_jaccard_summary([(collection, sets)], Path(out.summary))
    jaccard.write_jaccard_distribution(collection, sets, Path(out.distribution))
