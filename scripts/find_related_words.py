"""The words nearest to those that were asked for."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.embeddings import find_related_words, read_embedding
from pullstudy.tables import empty_instead, write_table

with report_to(snakemake.log[0]), empty_instead(related_words=snakemake.output.related):
    embedding = read_embedding(Path(snakemake.input.words))
    related = find_related_words(embedding, snakemake.params.words, snakemake.params.nearest)
    write_table("related_words", Path(snakemake.output.related), related)
