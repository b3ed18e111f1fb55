"""The one contract: every table, its grain, its columns, their types and units.

All sources of a stage write the same tables; queries, figures and claims read nothing else.
Timestamps are UTC, sizes are bytes, durations are seconds; the unit stands in the column's name.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pullstudy.errors import EmptyCorpus, TableError
from pullstudy.tables.bases import BASE_TABLES
from pullstudy.tables.columns import (
    BOOL,
    FLOAT64,
    INT32,
    INT64,
    LABEL,
    NAME,
    TEXT,
    TEXTS,
    UTC,
    Column,
    Table,
)
from pullstudy.tables.columns import make_table as _table
from pullstudy.tables.cost import COST_TABLES
from pullstudy.tables.craft import CRAFT_TABLES
from pullstudy.tables.pulls import PULL_TABLES
from pullstudy.tables.similarity import SIMILARITY_TABLES

# How plain numbers are held: Python's type and numpy's.
_NUMBERS: dict[pa.DataType, tuple[type, np.dtype[Any]]] = {
    INT32: (int, np.dtype(np.int32)),
    INT64: (int, np.dtype(np.int64)),
    UTC: (int, np.dtype(np.int64)),
    BOOL: (bool, np.dtype(np.bool_)),
    FLOAT64: (float, np.dtype(np.float64)),
}

_REGISTRY = Column("registry", LABEL, "host of the registry; null: not a valid reference", True)
_REPOSITORY = Column(
    "repository", LABEL, "path in the registry (library/ubuntu); null: not a valid reference", True
)
_KIND = Column(
    "kind",
    LABEL,
    "what the tag names: image, index (multi-platform), schema1, artifact, unknown",
)
_IMAGE_ID = Column("image_id", INT64, "row of `images`")
_DOCKERFILE_ID = Column("dockerfile_id", INT64, "row of `dockerfiles`")
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "dockerfiles",
            "one Dockerfile of the corpus",
            Column("dockerfile_id", INT64, "row number, counted from 0"),
            Column("collection", LABEL, "part of the corpus: machine-learning, orgs, rseng, …"),
            Column("repository", LABEL, "owner/name of the source repository"),
            Column("path", TEXT, "path of the file in its repository"),
            Column("content_sha256", TEXT, "SHA-256 of the bytes, hexadecimal"),
            Column("size_bytes", INT64, "length of the file"),
            Column("content", TEXT, "the text; bytes that are not UTF-8 are replaced by U+FFFD"),
            Column("is_utf8", BOOL, "whether the bytes are valid UTF-8"),
            Column(
                "parse_failure",
                LABEL,
                "why the parser refused it: no_instruction, unterminated_heredoc, syntax",
                True,
            ),
            Column("parse_detail", TEXT, "the parser's own message", True),
        ),
        _table(
            "instructions",
            "one instruction of a Dockerfile",
            _DOCKERFILE_ID,
            Column("instruction_number", INT32, "order in the file, counted from 0"),
            Column("stage_number", INT32, "build stage it belongs to; null before the first", True),
            Column("keyword", LABEL, "upper case: FROM, RUN, …"),
            Column("flags", TEXTS, "--flag=value options"),
            Column("value", TEXT, "the arguments as written, continuation lines joined"),
            Column(
                "arguments", TEXTS, "the arguments as the parser splits them, here-documents last"
            ),
            Column("is_json", BOOL, "written in the exec (JSON array) form"),
            Column("line", INT32, "first line, counted from 1"),
            Column("last_line", INT32, "last line"),
        ),
        _table(
            "stages",
            "one build stage (FROM) of a Dockerfile",
            _DOCKERFILE_ID,
            Column("stage_number", INT32, "order in the file, counted from 0"),
            Column("line", INT32, "line of the FROM, counted from 1"),
            Column("base", TEXT, "the base as written"),
            Column("base_resolved", TEXT, "the base with the defaults of global ARGs filled in"),
            Column("registry", LABEL, "host; docker.io when none is written; null: no image", True),
            Column("repository", LABEL, "path in the registry; null: no image", True),
            Column("tag", TEXT, "tag as written; null when none", True),
            Column("digest", TEXT, "pinned digest; null when none", True),
            Column("platform", TEXT, "value of --platform", True),
            Column("alias", TEXT, "name after AS", True),
            Column("is_scratch", BOOL, "FROM scratch: no image"),
            Column("is_earlier_stage", BOOL, "the base is an earlier stage of the same file"),
            Column("has_variable", BOOL, "the base as written holds a variable"),
            Column("is_resolved", BOOL, "no variable is left in base_resolved"),
        ),
        _table(
            "tags",
            "one tag of a repository that was asked for",
            NAME,
            _REGISTRY,
            _REPOSITORY,
            Column("tag", TEXT, "the tag"),
            _KIND,
            Column("media_type", LABEL, "media type of the manifest", True),
            Column(
                "digest", TEXT, "digest of the manifest; null where only its content is kept", True
            ),
        ),
        _table(
            "images",
            "one image: a tag on one platform, with its manifest, its config, or both",
            Column("image_id", INT64, "row number, counted from 0"),
            NAME,
            _REGISTRY,
            _REPOSITORY,
            Column("tag", TEXT, "the tag"),
            _KIND,
            Column("media_type", LABEL, "media type of the manifest", True),
            Column("digest", TEXT, "digest of the image's manifest", True),
            Column("config_digest", TEXT, "digest of the config: the image ID", True),
            Column("os", LABEL, "operating system from the config", True),
            Column("architecture", LABEL, "CPU architecture from the config", True),
            Column("variant", LABEL, "CPU variant from the config", True),
            Column(
                "created_at_utc", UTC, "creation time from the config; null when unreadable", True
            ),
            Column("has_manifest", BOOL, "its layers are known"),
            Column("has_config", BOOL, "its config is known"),
            Column("layer_count", INT32, "layers in the manifest", True),
            Column("size_bytes", INT64, "compressed bytes of all layers in the manifest", True),
        ),
        _table(
            "layers",
            "one layer of an image, in the manifest's order",
            _IMAGE_ID,
            Column("layer_number", INT32, "order in the manifest, counted from 0"),
            Column("digest", TEXT, "digest of the compressed layer"),
            Column("size_bytes", INT64, "compressed bytes"),
            Column("media_type", LABEL, "media type"),
        ),
        _table(
            "history",
            "one entry of an image's history",
            _IMAGE_ID,
            Column("history_number", INT32, "order in the config, counted from 0"),
            Column("layer_number", INT32, "the layer it made; null for an empty layer", True),
            Column("created_by", TEXT, "the command; null when not recorded", True),
            Column("is_empty_layer", BOOL, "it changed only metadata"),
        ),
        _table(
            "subset",
            "one layer of the one image that stands for its repository (`latest`, else the first)",
            NAME,
            Column("tag", TEXT, "the tag"),
            Column("layer_number", INT32, "order in the manifest, counted from 0"),
            Column("digest", TEXT, "digest of the compressed layer"),
            Column("size_bytes", INT64, "compressed bytes"),
        ),
        _table(
            "bases",
            "one image whose base was classified by its file paths",
            NAME,
            Column("base", TEXT, "the most similar base image"),
            Column("family", LABEL, "base without registry, library/ and tag"),
            Column("score", FLOAT64, "share of the known base paths that fit this base, 0 to 1"),
        ),
        _table(
            "failures",
            "one thing that was asked for and is not in the other tables",
            Column("stage", LABEL, "corpus, registry, bases, pulls"),
            Column("name", TEXT, "repository or file"),
            Column("reference", TEXT, "tag, digest or path in it", True),
            Column("status", INT32, "HTTP status, where there was one", True),
            Column("reason", LABEL, "short name of the cause"),
            Column("detail", TEXT, "the message", True),
        ),
        _table(
            "coverage",
            "one part of the data, with how much of it is there",
            Column("part", LABEL, "registry, bases, …"),
            Column("expected", INT64, "how many the source says there are"),
            Column("present", INT64, "how many were found"),
            Column("detail", TEXT, "what is missing, in words"),
        ),
        *BASE_TABLES,
        *COST_TABLES,
        *CRAFT_TABLES,
        *PULL_TABLES,
        *SIMILARITY_TABLES,
    )
}


class TableWriter:
    """Write one table as Parquet, batch by batch, and show it only when it is complete.

    Used as a context manager. The file appears under its name when the block ends without an
    error; otherwise nothing is left. The same batches give the same bytes.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.table = TABLES[name]
        self.path = path
        self._partial = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> TableWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(
            self._partial, self.table.schema, compression="zstd", compression_level=1
        )
        return self

    def write(self, columns: Mapping[str, Sequence[Any] | pa.Array]) -> None:
        """Append rows given by column; every column of the table must be there.

        Raises TableError when the columns do not fit the contract.
        """
        self._writer.write_table(arrange(self.table, columns))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        if kind is None:
            self._partial.replace(self.path)
        else:
            self._partial.unlink(missing_ok=True)


def arrange(table: Table, columns: Mapping[str, Sequence[Any] | pa.Array]) -> pa.Table:
    """Make an Arrow table of `table` from columns in any order.

    Raises TableError, naming the column, when one is missing, unknown, of the wrong type, or holds
    a null that the contract forbids.
    """
    unknown = set(columns) - {column.name for column in table.columns}
    if unknown:
        raise TableError(f"table {table.name}: unknown column {sorted(unknown)[0]!r}")
    arrays = [_array(table, column, columns) for column in table.columns]
    return pa.Table.from_arrays(arrays, schema=table.schema)


def _array(
    table: Table, column: Column, columns: Mapping[str, Sequence[Any] | pa.Array]
) -> pa.Array:
    if column.name not in columns:
        raise TableError(f"table {table.name}: column {column.name!r} is missing")
    values = columns[column.name]
    try:
        array = _as_arrow(values, column.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as exc:
        raise TableError(f"table {table.name}: column {column.name!r}: {exc}") from exc
    if array.null_count and not column.nullable:
        raise TableError(f"table {table.name}: column {column.name!r} holds a null")
    return array


def _as_arrow(values: Sequence[Any] | pa.Array, kind: pa.DataType) -> pa.Array:
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        # Arrow builds dictionaries from plain values only through their own type.
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        values = to_arrow(values, plain)
    return values if values.type == kind else values.cast(kind)


def to_arrow(
    values: Sequence[Any] | np.ndarray, kind: pa.DataType, is_null: np.ndarray | None = None
) -> pa.Array:
    """Make an array of plain values (None: null), as `pa.array` does but without loading pandas.

    is_null: nulls among numpy values. `pa.array` imports pandas to look for its objects, which
    takes longer than to write most tables; only values that are not exactly of the usual types
    still go there, for its judgement.
    """
    numbers = _NUMBERS.get(kind)
    if isinstance(values, np.ndarray):
        if numbers is not None and values.dtype == numbers[1]:
            return _from_numpy(values, is_null, kind)
        return pa.array(values, type=kind, mask=is_null)
    found = set(map(type, values)) - {NoneType}
    if kind == TEXT and found <= {str}:
        builder = pa.lib.StringBuilder()
        builder.append_values(values)
        return builder.finish()
    if numbers is not None and found <= {numbers[0]}:
        missing = np.fromiter((value is None for value in values), bool, len(values))
        filled = [0 if value is None else value for value in values]
        with contextlib.suppress(OverflowError):
            return _from_numpy(np.array(filled, numbers[1]), missing, kind)
    return pa.array(values, type=kind)


def _from_numpy(values: np.ndarray, is_null: np.ndarray | None, kind: pa.DataType) -> pa.Array:
    validity = None
    if is_null is not None and is_null.any():
        validity = pa.py_buffer(np.packbits(~is_null, bitorder="little"))
    bits = np.packbits(values, bitorder="little") if kind == BOOL else values
    data = pa.py_buffer(np.ascontiguousarray(bits))
    return pa.Array.from_buffers(kind, len(values), [validity, data])


@contextlib.contextmanager
def open_writers(folder: Path, names: Sequence[str]) -> Iterator[dict[str, TableWriter]]:
    """Open a writer per table as `folder/<name>.parquet`; all appear together, or none."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(TableWriter(name, folder / f"{name}.parquet"))
            for name in names
        }


def write_table(name: str, path: Path, columns: Mapping[str, Sequence[Any] | pa.Array]) -> None:
    """Write a table that fits in memory."""
    with TableWriter(name, path) as writer:
        writer.write(columns)


def write_empty(name: str, path: Path) -> None:
    """Write a table without rows."""
    write_table(name, path, {column.name: [] for column in TABLES[name].columns})


@contextlib.contextmanager
def empty_instead(**paths: str) -> Iterator[None]:
    """Write empty tables, named by keyword, when the block finds nothing to compute from.

    That is an EmptyCorpus: a study may lack a part of the data, as a partial archive does. What
    rests on it is empty then, and `coverage` says what is missing.
    """
    try:
        yield
    except EmptyCorpus as exc:
        print(f"pullstudy: {exc}; what rests on it is left empty", file=sys.stderr)
        for name, path in paths.items():
            write_empty(name, Path(path))
