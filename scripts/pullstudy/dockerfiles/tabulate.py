"""Dockerfiles to the tables `dockerfiles`, `instructions` and `stages`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pullstudy.dockerfiles.parse import Instruction, decode, parse_dockerfile
from pullstudy.dockerfiles.stages import Stage, resolve_stages
from pullstudy.tables import open_writers

# Some 21,000 instructions in the published corpus.
FILES_PER_BATCH = 2048

# The columns in the order of the rows below.
_COLUMNS = {
    "dockerfiles": (
        "dockerfile_id",
        "collection",
        "repository",
        "path",
        "content_sha256",
        "size_bytes",
        "content",
        "is_utf8",
        "parse_failure",
        "parse_detail",
    ),
    "instructions": (
        "dockerfile_id",
        "instruction_number",
        "stage_number",
        *Instruction._fields,
    ),
    "stages": ("dockerfile_id", *Stage._fields),
}

_Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class SourceFile:
    """One Dockerfile as a source gives it: where it was found, and its bytes."""

    collection: str
    repository: str
    path: str
    content: bytes


def tabulate_dockerfiles(files: Iterable[SourceFile], folder: Path) -> None:
    """Write dockerfiles.parquet, instructions.parquet and stages.parquet into the folder.

    Ids follow the order of the files, which are read one batch at a time; the same files give the
    same bytes. Nothing is left in the folder when an error stops it.
    """
    numbered = enumerate(files)
    with open_writers(folder, tuple(_COLUMNS)) as writers:
        while rows := _read_batch(islice(numbered, FILES_PER_BATCH)):
            for name, columns in _COLUMNS.items():
                writers[name].write(_turn(columns, rows[name]))


def _read_batch(numbered: Iterator[tuple[int, SourceFile]]) -> _Rows | None:
    """Return the rows of each table for the next files; None when there are no more."""
    rows: _Rows = {name: [] for name in _COLUMNS}
    for dockerfile_id, file in numbered:
        _append_rows(rows, dockerfile_id, file)
    return rows if rows["dockerfiles"] else None


def _append_rows(rows: _Rows, dockerfile_id: int, file: SourceFile) -> None:
    text, is_utf8 = decode(file.content)
    parsed = parse_dockerfile(text)
    rows["dockerfiles"].append(
        (
            dockerfile_id,
            file.collection,
            file.repository,
            file.path,
            hashlib.sha256(file.content).hexdigest(),
            len(file.content),
            text,
            is_utf8,
            parsed.failure,
            parsed.detail,
        )
    )
    stage_number = None
    for number, instruction in enumerate(parsed.instructions):
        if instruction.keyword == "FROM":
            stage_number = 0 if stage_number is None else stage_number + 1
        rows["instructions"].append((dockerfile_id, number, stage_number, *instruction))
    for stage in resolve_stages(parsed.instructions, parsed.escape):
        rows["stages"].append((dockerfile_id, *stage))


def _turn(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Turn rows into columns; without rows, into empty columns."""
    turned = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return {name: list(values) for name, values in zip(columns, turned, strict=True)}
