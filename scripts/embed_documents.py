"""The vectors of a corpus's documents, and how many there are."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.embeddings import embed_documents, read_embedding
from pullstudy.similarity.histograms import summarise_vectors
from pullstudy.tables import empty_instead

out = snakemake.output
empty = {"document_vectors": out.vectors, "corpus_vectors": out.summary}
with report_to(snakemake.log[0]), empty_instead(**empty):
    documents, vectors = Path(snakemake.input.documents), Path(out.vectors)
    embed_documents(documents, read_embedding(Path(snakemake.input.words)), vectors)
    summarise_vectors(documents, vectors, snakemake.wildcards.corpus, Path(out.summary))
