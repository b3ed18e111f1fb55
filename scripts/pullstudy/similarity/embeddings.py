"""Word2Vec embeddings of a text corpus: words, documents, nearest words and a map.

Method: Mikolov et al. (2013), by gensim; a document is the mean of its words' vectors.
With one worker the same documents, settings and seed give the same vectors on the same machine;
with more workers the threads race and the result differs a little from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
from gensim.models import KeyedVectors, Word2Vec

from pullstudy.errors import EmptyCorpus
from pullstudy.tables import TableWriter, write_table

BATCH_ROWS = 4096
# gensim silently cuts a text after this many words (MAX_WORDS_IN_BATCH): longer ones come in parts.
LONGEST_TEXT_WORDS = 10_000


@dataclass(frozen=True)
class EmbeddingSettings:
    """Parameters of Word2Vec; `workers` above 1 is faster and not reproducible."""

    dimensions: int = 300
    window: int = 5
    minimum_count: int = 5
    epochs: int = 5
    negative: int = 5
    skip_gram: bool = False
    seed: int = 42
    workers: int = 1


class TokenStream:
    """The texts of a documents file as token lists, read anew, batch by batch, on each pass."""

    def __init__(self, documents: Path) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[list[str]]:
        for batch in _read_batches(self.documents, ["tokens"]):
            for text in batch.column(0).to_pylist():
                tokens = text.split()
                for start in range(0, len(tokens), LONGEST_TEXT_WORDS):
                    yield tokens[start : start + LONGEST_TEXT_WORDS]


def fit_embedding(documents: Path, settings: EmbeddingSettings) -> KeyedVectors:
    """Learn word vectors from table `documents`.

    Raises EmptyCorpus when no word stands in it `minimum_count` times.
    """
    stream = TokenStream(documents)
    model = Word2Vec(
        vector_size=settings.dimensions,
        window=settings.window,
        min_count=settings.minimum_count,
        negative=settings.negative,
        sg=int(settings.skip_gram),
        seed=settings.seed,
        workers=settings.workers,
    )
    model.build_vocab(stream)
    if not len(model.wv):
        raise EmptyCorpus(
            f"{documents}: no word stands in it {settings.minimum_count} times;"
            " lower minimum_count or use a larger corpus"
        )
    model.train(stream, total_examples=model.corpus_count, epochs=settings.epochs)
    return model.wv


def write_embedding(embedding: KeyedVectors, path: Path) -> None:
    """Write the words and their vectors as table `word_vectors`."""
    words = embedding.index_to_key
    write_table(
        "word_vectors",
        path,
        {
            "word": words,
            "count": [embedding.get_vecattr(word, "count") for word in words],
            "vector": _as_lists(embedding.vectors),
        },
    )


def read_embedding(path: Path) -> KeyedVectors:
    """Read table `word_vectors`. Raises EmptyCorpus when it has no row."""
    table = pq.read_table(path)
    if not table.num_rows:
        raise EmptyCorpus(f"{path}: there is no word in it")
    vectors = _as_matrix(table["vector"])
    embedding = KeyedVectors(vectors.shape[1])
    embedding.add_vectors(table["word"].to_pylist(), vectors)
    for word, count in zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True):
        embedding.set_vecattr(word, "count", count)
    return embedding


def embed_documents(documents: Path, embedding: KeyedVectors, path: Path) -> tuple[int, int]:
    """Write a vector per document that holds a known word; return (documents, empty ones).

    Words count as often as they stand in the document, their order does not matter: documents
    with the same words get the same vector, to the last bit.
    """
    words = pa.array(embedding.index_to_key, pa.string())
    word_vectors = embedding.vectors.astype(np.float64)
    total = empty = 0
    with TableWriter("document_vectors", path) as writer:
        for batch in _read_batches(documents, ["document_id", "tokens"]):
            counts = _count_words(batch.column("tokens"), words)
            known = np.asarray(counts.sum(axis=1)).ravel()
            kept = np.flatnonzero(known)
            means = (counts[kept] @ word_vectors) / known[kept, None]
            writer.write(
                {
                    "document_id": batch.column("document_id").take(pa.array(kept)),
                    "vector": _as_lists(means.astype(np.float32)),
                }
            )
            total += len(batch)
            empty += len(batch) - len(kept)
    return total, empty


def read_vectors(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read table `document_vectors` as document ids (n,) int64 and vectors (n, d) float32.

    Raises EmptyCorpus when there is no row.
    """
    table = pq.read_table(path)
    if not table.num_rows:
        raise EmptyCorpus(f"{path}: no document has a vector; lower minimum_count")
    return table["document_id"].to_numpy(), _as_matrix(table["vector"])


def find_related_words(embedding: KeyedVectors, words: Sequence[str], count: int) -> dict[str, Any]:
    """Find the `count` nearest words of each word, as columns of table `related_words`.

    A word that the embedding does not know has one row of rank 0.
    """
    rows: list[tuple[str, int, str | None, float | None]] = []
    for word in words:
        if word not in embedding.key_to_index:
            rows.append((word, 0, None, None))
            continue
        near = embedding.most_similar(word, topn=count)
        rows += [(word, rank, other, float(cosine)) for rank, (other, cosine) in enumerate(near, 1)]
    names = ("word", "rank", "neighbour", "cosine")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _read_batches(documents: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(documents) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=columns)


def _count_words(texts: pa.Array, words: pa.Array) -> sp.csr_array:
    tokens = pc.split_pattern(texts, " ")
    word_ids = pc.index_in(tokens.flatten(), value_set=words)
    known = word_ids.is_valid().to_numpy(zero_copy_only=False)
    rows = pc.list_parent_indices(tokens).to_numpy()[known]
    columns = word_ids.drop_null().to_numpy()
    ones = np.ones(len(rows))
    # The conversion adds up equal entries and leaves them in the order of the words.
    counts = sp.coo_array((ones, (rows, columns)), shape=(len(texts), len(words))).tocsr()
    counts.sort_indices()
    return counts


def _as_lists(vectors: np.ndarray) -> pa.Array:
    offsets = np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32)
    values = pa.array(np.ascontiguousarray(vectors).ravel(), pa.float32())
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _as_matrix(column: pa.ChunkedArray) -> np.ndarray:
    vectors = column.combine_chunks()
    return vectors.flatten().to_numpy().reshape(len(vectors), -1)
