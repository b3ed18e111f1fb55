"""Embeddings: streaming, repeatable, and means that agree with a plain loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gensim.models import KeyedVectors

from pullstudy.errors import EmptyCorpus
from pullstudy.similarity import embeddings
from pullstudy.similarity.embeddings import (
    EmbeddingSettings,
    TokenStream,
    embed_documents,
    find_related_words,
    fit_embedding,
    read_embedding,
    read_vectors,
    write_embedding,
)
from pullstudy.tables import TABLES

WriteDocuments = Callable[[Sequence[str]], Path]
SETTINGS = EmbeddingSettings(dimensions=16, epochs=20, minimum_count=1)


def test_the_stream_reads_again_in_batches(
    write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "BATCH_ROWS", 2)
    stream = TokenStream(write_documents(["a b", "", "c", "d e", "f"]))
    for _ in range(2):
        assert list(stream) == [["a", "b"], ["c"], ["d", "e"], ["f"]]


def test_long_texts_are_trained_on_to_their_end(write_documents: WriteDocuments) -> None:
    long = ["first"] * 10_000 + ["last"] * 5
    path = write_documents([" ".join(long)])
    assert [len(part) for part in TokenStream(path)] == [10_000, 5]


def test_the_same_seed_gives_the_same_vectors_in_another_process(
    write_documents: WriteDocuments, texts: list[str], tmp_path: Path
) -> None:
    path = write_documents(texts)
    code = (
        "import sys; from pathlib import Path;"
        "from pullstudy.similarity.embeddings import *;"
        "settings = EmbeddingSettings(dimensions=16, epochs=20, minimum_count=1);"
        "write_embedding(fit_embedding(Path(sys.argv[1]), settings), Path(sys.argv[2]))"
    )
    files = []
    for number, hash_seed in enumerate(("1", "2")):
        files.append(tmp_path / f"{number}.parquet")
        environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed}
        subprocess.run(
            [sys.executable, "-c", code, str(path), str(files[-1])], env=environment, check=True
        )
    assert files[0].read_bytes() == files[1].read_bytes()
    other = fit_embedding(path, EmbeddingSettings(dimensions=16, minimum_count=1, seed=7))
    assert not np.array_equal(other.vectors, read_embedding(files[0]).vectors)


def test_words_of_one_topic_are_near(
    write_documents: WriteDocuments, texts: list[str], tmp_path: Path
) -> None:
    fitted = fit_embedding(write_documents(texts), SETTINGS)
    write_embedding(fitted, tmp_path / "words.parquet")
    assert pq.read_schema(tmp_path / "words.parquet").equals(TABLES["word_vectors"].schema)
    embedding = read_embedding(tmp_path / "words.parquet")
    assert np.array_equal(embedding.vectors, fitted.vectors)
    assert embedding.get_vecattr("apt", "count") == sum(t.split().count("apt") for t in texts)
    found = find_related_words(embedding, ["conda", "cobol"], 5)
    assert found["word"] == ["conda"] * 5 + ["cobol"]
    assert found["rank"] == [1, 2, 3, 4, 5, 0]
    assert set(found["neighbour"][:5]) == {"create", "env", "python", "numpy", "pip"}
    assert found["cosine"][:5] == sorted(found["cosine"][:5], reverse=True)
    assert found["neighbour"][5] is found["cosine"][5] is None


def test_document_vectors_are_means_and_empty_documents_are_counted(
    write_documents: WriteDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "BATCH_ROWS", 3)
    embedding = KeyedVectors(2)
    embedding.add_vectors(["x", "y"], np.array([[1, 2], [4, -1]], np.float32))
    path = write_documents(["x x y", "", "unknown words", "y", "y x x unknown", "z", "z"])
    output = tmp_path / "vectors.parquet"
    assert embed_documents(path, embedding, output) == (7, 4)
    assert pq.read_schema(output).equals(TABLES["document_vectors"].schema)
    ids, vectors = read_vectors(output)
    assert ids.tolist() == [0, 3, 4]
    assert vectors == pytest.approx(np.array([[2, 1], [4, -1], [2, 1]]))
    assert vectors.dtype == np.float32


def test_documents_of_the_same_words_have_the_same_vector(
    write_documents: WriteDocuments, texts: list[str], tmp_path: Path
) -> None:
    path = write_documents(texts)
    embed_documents(path, fit_embedding(path, SETTINGS), tmp_path / "vectors.parquet")
    _, vectors = read_vectors(tmp_path / "vectors.parquet")
    assert len(np.unique(vectors, axis=0)) == 2


def test_nothing_to_learn_from_is_said(write_documents: WriteDocuments, tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpus, match="minimum_count"):
        fit_embedding(write_documents(["a b c"]), EmbeddingSettings(minimum_count=2))
    with pytest.raises(EmptyCorpus):
        fit_embedding(write_documents([]), SETTINGS)
    embedding = KeyedVectors(2)
    embedding.add_vectors(["x"], np.ones((1, 2), np.float32))
    path = write_documents(["nothing known"])
    assert embed_documents(path, embedding, tmp_path / "vectors.parquet") == (1, 1)
    with pytest.raises(EmptyCorpus):
        read_vectors(tmp_path / "vectors.parquet")
