"""The three tables from small files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pullstudy.dockerfiles import tabulate
from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles
from pullstudy.tables import TABLES

NAMES = ("dockerfiles", "instructions", "stages")
CONTENTS = (
    b"ARG T=1\nFROM a:$T AS x\nRUN b\nFROM x\nCOPY --from=x c d\n",
    b"",
    b"FROM caf\xe9\n",
    b"RUN <<E\nno end",
)
FILES = [
    SourceFile("rseng", f"owner/name{i}", "sub/Dockerfile", content)
    for i, content in enumerate(CONTENTS)
]


def read(folder: Path, name: str) -> list[dict]:
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def test_rows_of_all_tables(tmp_path: Path) -> None:
    tabulate_dockerfiles(FILES, tmp_path)
    files = read(tmp_path, "dockerfiles")
    assert [f["dockerfile_id"] for f in files] == [0, 1, 2, 3]
    assert [f["repository"] for f in files] == [f"owner/name{i}" for i in range(4)]
    assert [f["parse_failure"] for f in files] == [
        None,
        "no_instruction",
        None,
        "unterminated_heredoc",
    ]
    assert [f["is_utf8"] for f in files] == [True, True, False, True]
    assert [f["size_bytes"] for f in files] == [len(content) for content in CONTENTS]
    assert files[1]["content_sha256"].startswith("e3b0c44298fc1c14")
    assert files[2]["content"] == "FROM caf\ufffd\n"

    instructions = read(tmp_path, "instructions")
    assert [
        (i["dockerfile_id"], i["instruction_number"], i["stage_number"], i["keyword"])
        for i in instructions
    ] == [
        (0, 0, None, "ARG"),
        (0, 1, 0, "FROM"),
        (0, 2, 0, "RUN"),
        (0, 3, 1, "FROM"),
        (0, 4, 1, "COPY"),
        (2, 0, 0, "FROM"),
    ]
    assert instructions[4]["flags"] == ["--from=x"]
    stages = read(tmp_path, "stages")
    assert [(s["dockerfile_id"], s["stage_number"], s["base_resolved"]) for s in stages] == [
        (0, 0, "a:1"),
        (0, 1, "x"),
        (2, 0, "caf\ufffd"),
    ]


def test_batches_follow_the_input_and_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabulate, "FILES_PER_BATCH", 3)
    tabulate_dockerfiles(iter(FILES * 5), tmp_path / "once")
    tabulate_dockerfiles(list(FILES * 5), tmp_path / "again")
    assert [f["dockerfile_id"] for f in read(tmp_path / "once", "dockerfiles")] == list(range(20))
    assert [s["dockerfile_id"] for s in read(tmp_path / "once", "stages")] == [
        4 * i + j for i in range(5) for j in (0, 0, 2)
    ]
    for name in NAMES:
        once, again = (tmp_path / run / f"{name}.parquet" for run in ("once", "again"))
        assert once.read_bytes() == again.read_bytes()


def test_no_files_give_empty_tables(tmp_path: Path) -> None:
    tabulate_dockerfiles([], tmp_path)
    for name in NAMES:
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert (table.num_rows, table.schema) == (0, TABLES[name].schema)


def test_an_error_of_the_source_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[SourceFile]:
        yield from FILES
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke"):
        tabulate_dockerfiles(failing(), tmp_path)
    assert list(tmp_path.iterdir()) == []
