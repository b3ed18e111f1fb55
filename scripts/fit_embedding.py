"""The vectors of a corpus's words."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.embeddings import EmbeddingSettings, fit_embedding, write_embedding
from pullstudy.tables import empty_instead

with report_to(snakemake.log[0]), empty_instead(word_vectors=snakemake.output.words):
    write_embedding(
        fit_embedding(
            Path(snakemake.input.documents), EmbeddingSettings(**snakemake.params.settings)
        ),
        Path(snakemake.output.words),
    )
