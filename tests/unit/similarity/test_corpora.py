"""The corpora differ from each other as the paper's description and its program do."""

from pathlib import Path

import pyarrow.parquet as pq

from pullstudy.similarity.corpora import CORPORA, write_corpus
from pullstudy.tables import write_table

LINES = [
    (0, 0, "RUN apt-get install a/b", False),
    (0, 1, "ENV path", True),
    (1, 0, "RUN apt-get install a/b", False),
]


def texts(tmp_path: Path, corpus: str) -> list[str]:
    columns = zip(*LINES, strict=True)
    names = ("image_id", "history_number", "created_by", "is_empty_layer")
    history = dict(zip(names, columns, strict=True)) | {"layer_number": [None] * len(LINES)}
    write_table("history", tmp_path / "history.parquet", history)
    write_corpus(corpus, {"history": tmp_path / "history.parquet"}, tmp_path / "documents.parquet")
    tokens: list[str] = pq.read_table(tmp_path / "documents.parquet")["tokens"].to_pylist()
    return tokens


def test_layers_are_own_texts_of_layers_only_all_or_the_unique_ones(tmp_path: Path) -> None:
    assert texts(tmp_path, "layers") == ["run apt get install ab"] * 2
    assert texts(tmp_path, "unique_layers") == ["run apt get install ab"]


def test_published_layers_hold_the_lines_before_and_split_at_slashes(tmp_path: Path) -> None:
    assert texts(tmp_path, "unique_layers_as_published") == [
        "run apt get install",
        "run apt get install env path",
    ]


def test_published_words_are_learnt_from_each_line_once(tmp_path: Path) -> None:
    assert texts(tmp_path, "lines_as_published") == ["run apt get install", "env path"]


def test_images_hold_all_their_lines(tmp_path: Path) -> None:
    assert texts(tmp_path, "images") == [
        "run apt get install ab env path",
        "run apt get install ab",
    ]


def test_every_corpus_is_embedded_by_one_with_the_same_token_rules() -> None:
    for name, corpus in CORPORA.items():
        assert name.endswith("_as_published") == corpus.embedded_by.endswith("_as_published")
        assert CORPORA[corpus.embedded_by].embedded_by == corpus.embedded_by
