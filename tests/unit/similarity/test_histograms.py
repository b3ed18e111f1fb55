"""The histogram as files: shards add up, and both definitions come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from pullstudy.errors import EmptyCorpus
from pullstudy.similarity.histograms import (
    gather_cosine_histogram,
    summarise_vectors,
    write_cosine_shard,
)
from pullstudy.tables import TABLES, write_table
from pullstudy.tables.columns import VECTOR


@pytest.fixture
def vectors(tmp_path: Path) -> tuple[Path, np.ndarray]:
    generator = np.random.default_rng(2)
    rows = generator.standard_normal((1600, 9)).astype(np.float32) + np.float32(1)
    rows = np.concatenate([rows, rows[:30], rows[:30]])
    path = tmp_path / "vectors.parquet"
    columns = {"document_id": range(len(rows)), "vector": pa.array(list(rows), VECTOR)}
    write_table("document_vectors", path, columns)
    return path, rows


def count(folder: Path, path: Path, shards: int, bins: int = 20, centred: bool = False) -> pa.Table:
    parts = [folder / f"{shards}-{shard}.parquet" for shard in range(shards)]
    for shard, part in enumerate(parts):
        write_cosine_shard(path, part, bins=bins, centred=centred, shard=shard, shards=shards)
        assert pq.read_schema(part).equals(TABLES["cosine_shards"].schema)
    output = folder / f"histogram-{shards}.parquet"
    gather_cosine_histogram(parts, path, "images", output)
    return pq.read_table(output)


def test_any_number_of_shards_gives_both_definitions(
    vectors: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, rows = vectors
    whole = count(tmp_path, path, 1)
    assert whole.equals(count(tmp_path, path, 7))
    assert whole.schema.equals(TABLES["cosine_histogram"].schema)
    table = whole.to_pandas()
    cosines = np.clip(cosine_similarity(rows.astype(np.float64)), -1, 1)
    right = table[table.definition == "right"]
    expected = np.histogram(cosines[np.triu_indices(len(rows), 1)], np.linspace(-1, 1, 21))[0]
    assert right.pairs.tolist() == expected.tolist()
    assert (right.bin_low.iloc[0], right.bin_high.iloc[-1]) == (-1, 1)
    published = table[table.definition == "as_published"]
    assert len(published) == 15
    assert published.pairs.iloc[-1] == right.pairs.iloc[-1] + len(rows) / 2
    assert published.pairs.sum() * 2 == (cosines >= -0.5).sum()


def test_centring_takes_off_what_all_have_in_common(
    vectors: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, rows = vectors
    table = count(tmp_path, path, 2, bins=10, centred=True).to_pandas()
    assert set(table.definition) == {"right"}
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    cosines = cosine_similarity(centred)[np.triu_indices(len(rows), 1)]
    expected = np.histogram(np.clip(cosines, -1, 1), np.linspace(-1, 1, 11))[0]
    # The centred vectors are rounded to float32 once.
    assert np.abs(table.pairs - expected).max() <= 3
    assert table.pairs.sum() == expected.sum()


def test_a_corpus_of_copies_has_no_direction(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    row = np.random.default_rng(3).standard_normal(9).astype(np.float32)
    columns = {"document_id": range(7), "vector": pa.array([row] * 7, VECTOR)}
    write_table("document_vectors", path, columns)
    with pytest.raises(EmptyCorpus):
        count(tmp_path, path, 1, centred=True)


def test_a_corpus_says_how_many_documents_are_in_no_pair(
    vectors: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, rows = vectors
    documents = tmp_path / "documents.parquet"
    pq.write_table(pa.table({"copies": [1] * len(rows) + [3] * 5}), documents)
    summarise_vectors(documents, path, "images", tmp_path / "summary.parquet")
    assert pq.read_table(tmp_path / "summary.parquet").to_pylist() == [
        {
            "corpus": "images",
            "texts": len(rows) + 15,
            "documents": len(rows) + 5,
            "empty_documents": 5,
            "distinct_vectors": 1600,
        }
    ]
