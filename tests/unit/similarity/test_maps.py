"""Maps: neighbours stay near, the seed decides, equal documents share a point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pullstudy.errors import ConfigError, EmptyCorpus
from pullstudy.similarity.maps import METHODS, map_vectors, write_document_map
from pullstudy.tables import TABLES, write_table
from pullstudy.tables.columns import VECTOR


def clusters() -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((3, 60)) * 5
    rows = [centre + generator.standard_normal((15, 60)) for centre in centres]
    return np.concatenate(rows).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_clusters_stay_apart(method: str) -> None:
    points = map_vectors(clusters(), method, seed=1)
    assert np.array_equal(points, map_vectors(clusters(), method, seed=1))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) // 15 == np.arange(45) // 15).all()


def test_equal_documents_share_a_point_and_more_are_drawn(tmp_path: Path) -> None:
    rows = np.concatenate([clusters()[:10], clusters()[:4]])
    source, output = tmp_path / "vectors.parquet", tmp_path / "map.parquet"
    write_table(
        "document_vectors",
        source,
        {"document_id": range(100, 114), "vector": pa.array(list(rows), VECTOR)},
    )
    write_document_map(source, output, method="pca", seed=0)
    table = pq.read_table(output)
    assert table.schema.equals(TABLES["document_map"].schema)
    assert table["document_id"].to_pylist() == list(range(100, 110))
    assert table["copies"].to_pylist() == [2] * 4 + [1] * 6
    write_document_map(source, output, method="pca", seed=0, most=6)
    assert len(set(pq.read_table(output)["document_id"].to_pylist())) == 6


def test_too_few_documents_or_another_method() -> None:
    with pytest.raises(EmptyCorpus):
        map_vectors(clusters()[:2], "pca", seed=0)
    with pytest.raises(ConfigError, match="umap"):
        map_vectors(clusters(), "umap", seed=0)
