"""Tokens by the paper's rules, against regular expressions and DuckDB's string functions."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pullstudy import text
from pullstudy.errors import TableError
from pullstudy.tables import TABLES, write_table
from pullstudy.text import (
    DESCRIBED_RULES,
    PROGRAM_DOCKERFILE_RULES,
    PROGRAM_RULES,
    tokenise,
    write_dockerfile_documents,
    write_image_documents,
    write_layer_documents,
)

SHA256 = "a" * 64
LINES = [
    (0, 0, "/bin/sh -c #(nop) ADD file:" + SHA256 + " in / ", False),
    (0, 1, "/bin/sh -c #(nop)  CMD [\"bash\"]", True),
    (0, 2, None, False),
    (0, 3, "RUN apt-get update && apt-get install -y gcc", False),
    (3, 0, "/bin/sh -c #(nop)  CMD [\"bash\"]", True),
    (3, 1, "- : =", False),
    (3, 2, "run APT-GET update; apt_get install y gcc", False),
    (5, 0, None, False),
]  # fmt: skip


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.parquet"
    # The order of the rows in the file must not matter.
    images, numbers, commands, empty = zip(*reversed(LINES), strict=True)
    write_table(
        "history",
        path,
        {
            "image_id": images,
            "history_number": numbers,
            "layer_number": [None] * len(LINES),
            "created_by": commands,
            "is_empty_layer": empty,
        },
    )
    return path


def read(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    assert table.schema.equals(TABLES["documents"].schema)
    rows: list[dict[str, Any]] = table.to_pylist()
    assert [row["document_id"] for row in rows] == list(range(len(rows)))
    assert all(row["token_count"] == len(row["tokens"].split()) for row in rows)
    return rows


def tokens_by_regex(content: str) -> list[str]:
    spaced = re.sub(r"""['";:=_\-\n\t#.*&]""", " ", content)
    kept = re.sub(r"[<>{}\[\]()$/]", "", spaced)
    return [t for t in kept.lower().split() if len(t) > 1 and len(t) not in (40, 64)]


@given(st.text())
@example("RUN apt-get install -y x && echo " + SHA256 + " " + "b" * 40 + " " + "c" * 41)
@example("\u00a0non\u2003breaking\u3000spaces\x1fand\x85more")
def test_tokens_are_those_of_the_written_rules(content: str) -> None:
    assert tokenise(content) == tokens_by_regex(content)


@given(st.text(st.characters(max_codepoint=127)))
def test_duckdb_splits_alike(content: str) -> None:
    rules = DESCRIBED_RULES
    other = "".join(c for c in map(chr, range(128)) if c.isspace() and c not in rules.separators)
    gaps = rules.separators + other
    row = duckdb.execute(
        """
        SELECT list_filter(
            string_split(translate(lower($text), $gaps || $removed, repeat(' ', $count)), ' '),
            lambda t: length(t) > 1 AND length(t) NOT IN (40, 64)
        )
        """,
        {"text": content, "gaps": gaps, "removed": rules.removed, "count": len(gaps)},
    ).fetchone()
    assert row is not None
    assert tokenise(content, rules) == row[0]


def test_the_program_separated_where_the_paper_says_removed() -> None:
    line = "cat /usr/local/lib|tee a@sha"
    assert tokenise(line) == ["cat", "usrlocallib|tee", "a@sha"]
    assert tokenise(line, PROGRAM_RULES) == ["cat", "usr", "local", "lib", "tee", "a@sha"]
    assert tokenise(line, PROGRAM_DOCKERFILE_RULES)[-1] == "sha"


def test_a_document_per_line(history: Path, tmp_path: Path) -> None:
    count = write_layer_documents(history, tmp_path / "layers.parquet")
    rows = read(tmp_path / "layers.parquet")
    expected = [(i, n, " ".join(tokens_by_regex(c))) for i, n, c, _ in LINES if c is not None]
    assert [(r["source_id"], r["history_number"], r["tokens"]) for r in rows] == expected
    assert count == len(rows) == 6
    assert rows[4]["tokens"] == ""


def test_only_lines_that_made_a_layer(history: Path, tmp_path: Path) -> None:
    write_layer_documents(history, tmp_path / "layers.parquet", layers_only=True)
    rows = read(tmp_path / "layers.parquet")
    assert [(r["source_id"], r["history_number"]) for r in rows] == [(0, 0), (0, 3), (3, 1), (3, 2)]


def test_cumulative_documents_end_with_their_image(history: Path, tmp_path: Path) -> None:
    write_layer_documents(history, tmp_path / "layers.parquet", cumulative=True)
    write_image_documents(history, tmp_path / "images.parquet")
    rows = read(tmp_path / "layers.parquet")
    expected: list[str] = []
    for image in (0, 3):
        tokens: list[str] = []
        for _, _, command, _ in (line for line in LINES if line[0] == image):
            if command is not None:
                tokens += tokens_by_regex(command)
                expected.append(" ".join(tokens))
    assert [row["tokens"] for row in rows] == expected
    images = {row["source_id"]: row for row in read(tmp_path / "images.parquet")}
    assert {i: images[i]["tokens"] for i in (0, 3)} == {0: expected[2], 3: expected[5]}
    assert images[5]["tokens"] == ""
    assert all(row["history_number"] is None for row in images.values())


@pytest.mark.parametrize("cumulative", [False, True])
def test_unique_texts_keep_their_first_place_and_number(
    history: Path, tmp_path: Path, cumulative: bool
) -> None:
    write_layer_documents(history, tmp_path / "all.parquet", cumulative=cumulative)
    write_layer_documents(history, tmp_path / "one.parquet", cumulative=cumulative, unique=True)
    every, unique = read(tmp_path / "all.parquet"), read(tmp_path / "one.parquet")
    texts = [row["tokens"] for row in every]
    assert [row["tokens"] for row in unique] == list(dict.fromkeys(texts))
    assert {row["tokens"]: row["copies"] for row in unique} == Counter(texts)
    for row in unique:
        first = every[texts.index(row["tokens"])]
        assert (row["source_id"], row["history_number"]) == (
            first["source_id"],
            first["history_number"],
        )


def test_batches_do_not_show(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, rows in enumerate((3, 8192)):
        monkeypatch.setattr(text, "BATCH_ROWS", rows)
        write_layer_documents(history, tmp_path / f"{number}.parquet", cumulative=True)
    assert read(tmp_path / "0.parquet") == read(tmp_path / "1.parquet")


def test_dockerfiles_whole_and_as_parsed(tmp_path: Path) -> None:
    contents = ["# the base\nFROM ubuntu:22.04\nRUN <<EOF\nmake all\nEOF\n", "# nothing but this"]
    write_table(
        "dockerfiles",
        tmp_path / "dockerfiles.parquet",
        {
            "dockerfile_id": [0, 1],
            "collection": ["x", "x"],
            "repository": ["a/b", "a/b"],
            "path": ["Dockerfile", "Dockerfile.1"],
            "content_sha256": ["", ""],
            "size_bytes": [len(content) for content in contents],
            "content": contents,
            "is_utf8": [True, True],
            "parse_failure": [None, "no_instruction"],
            "parse_detail": [None, ""],
        },
    )
    write_table(
        "instructions",
        tmp_path / "instructions.parquet",
        {
            "dockerfile_id": [0, 0],
            "instruction_number": [1, 0],
            "stage_number": [0, 0],
            "keyword": ["RUN", "FROM"],
            "flags": [["--mount=type=cache"], []],
            "value": ["", "ubuntu:22.04"],
            "arguments": [["<<EOF", "make all\n"], ["ubuntu:22.04"]],
            "is_json": [False, False],
            "line": [3, 2],
            "last_line": [5, 2],
        },
    )
    source, output = tmp_path / "dockerfiles.parquet", tmp_path / "documents.parquet"
    assert write_dockerfile_documents(source, output) == 2
    assert [r["tokens"] for r in read(output)] == [
        "the base from ubuntu 22 04 run eof make all eof",
        "nothing but this",
    ]
    parsed = tmp_path / "instructions.parquet"
    assert write_dockerfile_documents(source, output, instructions=parsed) == 2
    assert [r["tokens"] for r in read(output)] == [
        "from ubuntu 22 04 run mount type cache eof make all",
        "",
    ]


def test_no_history_is_an_empty_table(tmp_path: Path) -> None:
    empty: dict[str, list[Any]] = {column.name: [] for column in TABLES["history"].columns}
    write_table("history", tmp_path / "history.parquet", empty)
    assert write_layer_documents(tmp_path / "history.parquet", tmp_path / "out.parquet") == 0
    assert read(tmp_path / "out.parquet") == []


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere\.parquet"):
        write_layer_documents(tmp_path / "nowhere.parquet", tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())
