"""The rows of pull runs, and the writer that every backend uses.

A backend makes `Pull`, `Node` and `Job` rows, counts what it had to leave out in a `Tally`, and
hands them to `PullWriter`: everything after it reads the same tables. Field names are the column
names of `pullstudy.tables`; times are microseconds since 1970, UTC.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import msgspec

from pullstudy.errors import InvalidReference
from pullstudy.naming import parse_reference
from pullstudy.tables import open_writers

# (what, reason, detail) of the table `dropped`.
Tally = Counter[tuple[str, str, str | None]]

_BATCH_ROWS = 20_000

# github.com/converged-computing/container-chonks, README: the tag holds the wanted size less what
# was set aside for the base image, busybox.
BASE_ALLOWANCE_BYTES = 5_000_000
_search_crafted_tag = re.compile(r":(\d+)-layers-size-(\d+)-bytes$").search

PULL_TABLES = ("pulls", "pull_layers", "nodes", "jobs", "pull_images", "dropped")


class Cluster(msgspec.Struct, frozen=True):
    """What all rows of one cluster share."""

    study: str
    run: str
    cluster_size: int | None = None


class _OfRun(msgspec.Struct, kw_only=True, gc=False):
    """What every row of a run begins with."""

    study: str
    run: str
    strategy: str | None = None
    platform: str | None = None
    cluster_size: int | None = None


class Pull(_OfRun, kw_only=True, gc=False):
    """One row of `pulls`."""

    node: str
    image: str
    registry: str | None = None
    layers: int | None = None
    nominal_bytes: int | None = None
    compressed_bytes: int | None = None
    uncompressed_bytes: int | None = None
    attempt: int = 1
    scheduled_at_utc: int | None = None
    requested_at_utc: int | None = None
    started_at_utc: int | None = None
    pulled_at_utc: int | None = None
    ready_at_utc: int | None = None
    seconds: float | None = None
    seconds_including_waiting: float | None = None
    download_seconds: float | None = None
    decompress_seconds: float | None = None
    unpack_seconds: float | None = None
    outcome: str
    error: str | None = None
    job: str | None = None
    reports: int = 1
    reported_seconds: Sequence[float | None] = ()
    reported_seconds_including_waiting: Sequence[float | None] = ()


class PullLayer(_OfRun, kw_only=True, gc=False):
    """One row of `pull_layers`."""

    node: str
    image: str
    attempt: int
    layer: int
    digest: str
    compressed_bytes: int | None = None
    uncompressed_bytes: int | None = None
    started_at_utc: int | None = None
    download_seconds: float | None = None
    decompress_seconds: float | None = None
    unpack_seconds: float | None = None


class Node(_OfRun, kw_only=True, gc=False):
    """One row of `nodes`."""

    node: str
    instance_type: str | None = None
    region: str | None = None
    zone: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    storage_bytes: int | None = None
    boot_disk: str | None = None
    has_local_ssd: bool | None = None
    has_streaming: bool | None = None
    kernel: str | None = None
    os_image: str | None = None
    kubelet: str | None = None
    container_runtime: str | None = None
    created_at_utc: int | None = None
    pulls: int = 0


class Job(_OfRun, kw_only=True, gc=False):
    """One row of `jobs`."""

    job: str
    name: str
    image: str | None = None
    nodes: int = 0
    created_at_utc: int | None = None
    completed_at_utc: int | None = None
    seconds: float | None = None
    outcome: str


class PullImage(msgspec.Struct, kw_only=True, gc=False):
    """One row of `pull_images`."""

    study: str
    image: str
    layers: int | None = None
    manifest_layers: int
    nominal_bytes: int | None = None
    compressed_bytes: int
    largest_layer_bytes: int
    shared_layers: int


class Dropped(msgspec.Struct, kw_only=True, gc=False):
    """One row of `dropped`."""

    study: str
    what: str
    path: str
    reason: str
    detail: str | None = None
    count: int


class PullWriter:
    """Write the tables of pull runs into a folder; they appear together, or none does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._rows: dict[str, list[msgspec.Struct]] = {name: [] for name in PULL_TABLES}

    def __enter__(self) -> PullWriter:
        self._writers = self._stack.enter_context(open_writers(self._folder, PULL_TABLES))
        return self

    def write_pulls(self, rows: Sequence[Pull]) -> None:
        """Append rows of `pulls`."""
        self._append("pulls", rows)

    def write_layers(self, rows: Sequence[PullLayer]) -> None:
        """Append rows of `pull_layers`."""
        self._append("pull_layers", rows)

    def write_nodes(self, rows: Sequence[Node]) -> None:
        """Append rows of `nodes`."""
        self._append("nodes", rows)

    def write_jobs(self, rows: Sequence[Job]) -> None:
        """Append rows of `jobs`."""
        self._append("jobs", rows)

    def write_images(self, rows: Sequence[PullImage]) -> None:
        """Append rows of `pull_images`."""
        self._append("pull_images", rows)

    def write_dropped(self, study: str, path: str, tally: Tally) -> None:
        """Append what a file held and no row stands for."""
        kinds = sorted(tally.items(), key=lambda item: (item[0][:2], item[0][2] or ""))
        rows = [
            Dropped(study=study, what=what, path=path, reason=reason, detail=detail, count=count)
            for (what, reason, detail), count in kinds
            if count
        ]
        self._append("dropped", rows)

    def _append(self, name: str, rows: Sequence[msgspec.Struct]) -> None:
        self._rows[name].extend(rows)
        if len(self._rows[name]) >= _BATCH_ROWS:
            self._flush(name)

    def _flush(self, name: str) -> None:
        """Write what has come together: few large row groups are small and fast to read."""
        rows, self._rows[name] = self._rows[name], []
        if rows:
            columns = [column.name for column in self._writers[name].table.columns]
            self._writers[name].write(
                {column: [getattr(row, column) for row in rows] for column in columns}
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if kind is None:
                for name in PULL_TABLES:
                    self._flush(name)
            else:
                self._stack.pop_all().__exit__(kind, error, trace)


@lru_cache(maxsize=4096)
def registry_of(image: str) -> str | None:
    """Name the registry host of an image; None when it is no valid reference."""
    try:
        return parse_reference(image).registry
    except InvalidReference:
        return None


@lru_cache(maxsize=4096)
def read_crafted_tag(image: str) -> tuple[int | None, int | None]:
    """Return the layers and the nominal bytes that the tag of a published image stands for."""
    match = _search_crafted_tag(image)
    if match is None:
        return None, None
    return int(match[1]), int(match[2]) + BASE_ALLOWANCE_BYTES
