"""Rows of the registry tables, the same from the archive and from a live registry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pullstudy.errors import InvalidReference
from pullstudy.naming import parse_reference
from pullstudy.registry.documents import UNKNOWN, Config, HistoryEntry, Layer, Manifest
from pullstudy.tables import INT32, TABLES, TableWriter, open_writers, to_arrow

# Rows of a table that are held before they are written: DuckDB's row group, so that it reads the
# files on all cores.
_BATCH_ROWS = 122_880
_NOTES = ("failures", "coverage")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Repository(NamedTuple):
    """A repository: its name as the source wrote it, and where that leads if anywhere."""

    name: str
    registry: str | None
    repository: str | None


@contextlib.contextmanager
def open_registry_tables(folder: Path, stage: str = "registry") -> Iterator[RegistryTables]:
    """Open tags, images, layers, history, failures and coverage in a folder for writing.

    The files appear together when the block ends without an error; otherwise none does.
    stage: what the failures are filed under.
    """
    with open_writers(folder, ("tags", "images", "layers", "history", *_NOTES)) as writers:
        tables = RegistryTables(writers, stage)
        yield tables
        tables.flush()


class RegistryTables:
    """Collect rows and hand them to the writers of `open_registry_tables` in batches."""

    def __init__(self, writers: Mapping[str, TableWriter], stage: str) -> None:
        self._stage = stage
        self._image_count = 0
        self._rows = {name: _Rows(writers[name]) for name in ("tags", "images", *_NOTES)}
        self._layers = _ImageRows(
            writers["layers"], ("digest", "size", "media_type"), _layer_columns
        )
        self._history = _ImageRows(
            writers["history"], ("created_by", "empty_layer"), _history_columns
        )

    def add_repository(self, name: str) -> Repository:
        """Find the registry of a name; a name that is no reference is a failure, and is kept."""
        try:
            reference = parse_reference(name)
        except InvalidReference as exc:
            self.add_failure(name, "invalid_reference", detail=str(exc))
            return Repository(name, None, None)
        return Repository(name, reference.registry, reference.repository)

    def add_tag(
        self,
        repository: Repository,
        tag: str,
        kind: str,
        media_type: str | None = None,
        digest: str | None = None,
    ) -> None:
        """Add a row of `tags`."""
        self._rows["tags"].add((*repository, tag, kind, media_type, digest))

    def add_image(
        self,
        repository: Repository,
        tag: str,
        kind: str,
        manifest: Manifest | None,
        config: Config | None,
        *,
        media_type: str | None = None,
        digest: str | None = None,
    ) -> int:
        """Add an image with its layers and its history; return its image_id.

        manifest: of this one image, None when its layers are not known. config: None when it is
        not known. media_type: only for an image without manifest.
        """
        image_id = self._image_count
        self._image_count += 1
        self._rows["images"].add(
            (
                image_id,
                *repository,
                tag,
                kind,
                manifest.media_type if manifest else media_type,
                digest,
                manifest.config.digest if manifest and manifest.config else None,
                *_describe_config(config or Config()),
                manifest is not None,
                config is not None,
                *_measure_layers(manifest),
            )
        )
        if manifest is not None:
            self._layers.add(image_id, manifest.layers or ())
        if config is not None:
            self._history.add(image_id, config.history or ())
        return image_id

    def add_failure(
        self,
        name: str,
        reason: str,
        *,
        reference: str | None = None,
        status: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Add a row of `failures`; status: of HTTP, where there was one."""
        self._rows["failures"].add((self._stage, name, reference, status, reason, detail))

    def add_coverage(self, part: str, expected: int, present: int, detail: str) -> None:
        """Add a row of `coverage`."""
        self._rows["coverage"].add((part, expected, present, detail))

    def flush(self) -> None:
        """Write the rows that are held."""
        for rows in self._rows.values():
            rows.flush()
        self._layers.flush()
        self._history.flush()


def parse_time(text: str | None) -> int | None:
    """Read an RFC 3339 time as microseconds since 1970 (UTC); None when that is not possible.

    Digits below the microsecond are cut. A time without zone counts as UTC.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return (time.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _describe_config(config: Config) -> tuple[str | None, str | None, str | None, int | None]:
    # Some configs hold empty texts for what is not known.
    return (
        config.os or None,
        config.architecture or None,
        config.variant or None,
        parse_time(config.created),
    )


def _measure_layers(manifest: Manifest | None) -> tuple[int | None, int | None]:
    """Return how many layers there are and the sum of their bytes."""
    if manifest is None:
        return None, None
    sizes = [layer.size for layer in manifest.layers or ()]
    return len(sizes), sum(sizes)


class _Rows:
    """A table that is collected row by row."""

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer
        self._names = [column.name for column in TABLES[writer.table.name].columns]
        self._rows: list[tuple[Any, ...]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self._writer.write(dict(zip(self._names, columns, strict=True)))
            self._rows.clear()


class _ImageRows:
    """A table whose rows come as one list per image.

    The values are taken out of the documents at once: documents that are held until a batch is
    full would take twice the time, since all of them would be new memory.
    """

    def __init__(
        self,
        writer: TableWriter,
        attributes: Sequence[str],
        make_columns: Callable[..., dict[str, Any]],
    ) -> None:
        self._writer = writer
        self._attributes = attributes
        self._make_columns = make_columns
        self._values: list[list[Any]] = [[] for _ in attributes]
        self._image_ids: list[int] = []
        self._counts: list[int] = []

    def add(self, image_id: int, items: Sequence[Layer] | Sequence[HistoryEntry]) -> None:
        if not items:
            return
        for values, attribute in zip(self._values, self._attributes, strict=True):
            values += map(attrgetter(attribute), items)
        self._image_ids.append(image_id)
        self._counts.append(len(items))
        if len(self._values[0]) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._counts:
            counts = np.array(self._counts)
            columns = self._make_columns(counts, *self._values)
            self._writer.write({"image_id": np.repeat(self._image_ids, counts), **columns})
        for held in (self._image_ids, self._counts, *self._values):
            held.clear()


def _layer_columns(
    counts: np.ndarray, digests: list[str], sizes: list[int], media_types: list[str | None]
) -> dict[str, Any]:
    return {
        "layer_number": _number(np.ones(len(digests), np.int32), counts),
        "digest": digests,
        "size_bytes": sizes,
        "media_type": [media_type or UNKNOWN for media_type in media_types],
    }


def _history_columns(
    counts: np.ndarray, commands: list[str | None], empty_layers: list[bool | None]
) -> dict[str, Any]:
    is_empty = np.array(empty_layers, dtype=bool)
    return {
        "history_number": _number(np.ones(len(commands), np.int32), counts),
        "layer_number": to_arrow(_number(~is_empty, counts), INT32, is_empty),
        "created_by": commands,
        "is_empty_layer": is_empty,
    }


def _number(is_counted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Number the counted rows of each image from 0; counts: rows per image, none is 0."""
    before = np.cumsum(is_counted, dtype=np.int32) - is_counted
    starts = np.cumsum(counts) - counts
    return before - np.repeat(before[starts], counts)
