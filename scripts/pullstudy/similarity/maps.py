"""A corpus as points in two dimensions, near each other where the documents are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import normalize

from pullstudy.errors import ConfigError, EmptyCorpus
from pullstudy.similarity.cosine import group_identical
from pullstudy.similarity.embeddings import read_vectors
from pullstudy.tables import write_table

METHODS = ("pca", "tsne")
# t-SNE works on this many principal components, as its authors did (van der Maaten, Hinton 2008).
COMPONENTS = 50
PERPLEXITY = 30


def map_vectors(vectors: np.ndarray, method: str, seed: int) -> np.ndarray:
    """Place distinct vectors (n, d) in two dimensions, (n, 2) float64, by their directions.

    `pca` keeps distances as well as a plane can and takes seconds; `tsne` keeps neighbours and
    takes minutes from some 10,000 vectors on. Raises EmptyCorpus if n < 3, ConfigError for
    another method.
    """
    if method not in METHODS:
        raise ConfigError(f"method {method!r}: choose one of {', '.join(METHODS)}")
    if len(vectors) < 3:
        raise EmptyCorpus(f"{len(vectors)} distinct documents: a map needs 3")
    # Cosine similarity compares directions only, so the lengths go.
    units = normalize(vectors.astype(np.float64))
    if method == "pca":
        return _reduce(units, 2, seed)
    perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
    tsne = TSNE(init="pca", perplexity=perplexity, random_state=seed, n_jobs=1)
    return tsne.fit_transform(_reduce(units, COMPONENTS, seed)).astype(np.float64)


def write_document_map(
    vectors: Path, path: Path, *, method: str, seed: int, most: int | None = None
) -> None:
    """Map table `document_vectors` as table `document_map`: one point per distinct vector.

    most: of more distinct vectors, this many are drawn at random.
    """
    ids, rows = read_vectors(vectors)
    first, copies = group_identical(rows)
    if most is not None and len(first) > most:
        drawn = np.sort(np.random.default_rng(seed).choice(len(first), most, replace=False))
        first, copies = first[drawn], copies[drawn]
    points = map_vectors(rows[first], method, seed)
    write_table(
        "document_map",
        path,
        {"document_id": ids[first], "copies": copies, "x": points[:, 0], "y": points[:, 1]},
    )


def _reduce(units: np.ndarray, components: int, seed: int) -> np.ndarray:
    return PCA(min(components, *units.shape), random_state=seed).fit_transform(units)
