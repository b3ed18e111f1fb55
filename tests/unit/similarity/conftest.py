"""Small corpora for the similarity tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pullstudy.tables import write_table

WriteDocuments = Callable[[Sequence[str]], Path]


@pytest.fixture
def write_documents(tmp_path: Path) -> WriteDocuments:
    """Write texts as table `documents`."""

    def write(texts: Sequence[str]) -> Path:
        path = tmp_path / "documents.parquet"
        write_table(
            "documents",
            path,
            {
                "document_id": range(len(texts)),
                "source_id": range(len(texts)),
                "history_number": [None] * len(texts),
                "copies": [1] * len(texts),
                "token_count": [len(text.split()) for text in texts],
                "tokens": texts,
            },
        )
        return path

    return write


@pytest.fixture
def texts() -> list[str]:
    """A hundred texts of two topics, some alike but for the order of their words."""
    generator = np.random.default_rng(0)
    topics = (
        ["apt", "get", "install", "update", "curl", "gcc"],
        ["conda", "create", "env", "python", "numpy", "pip"],
    )
    return [" ".join(generator.permutation(topics[i % 2] * 3)) for i in range(100)]
