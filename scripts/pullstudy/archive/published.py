"""Tables that the study published ready-made: its one image per repository, and the bases.

`subset` decides Table I and the overlap of digests, `bases` Table III. Each is one file of the
archive; one that is missing gives an empty table and a row of `coverage`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pullstudy.archive.members import read_members
from pullstudy.errors import InvalidReference
from pullstudy.naming import parse_reference
from pullstudy.tables import TABLES, open_writers

SUBSET = "dockerfile/data/dockerfile/full_uri_subset.csv"
BASES = "dockerfile/data/dockerfile/container-guts-image-bases.json"
_INT32_LIMIT = 2**31
_INT64_LIMIT = 2**63

Row = tuple[Any, ...]


class Misfit(NamedTuple):
    """A part of a file that could not be read: a row of `failures`."""

    name: str
    reference: str | None
    reason: str
    detail: str


class _Classification(msgspec.Struct):
    base_image: str
    score: float


def tabulate_bases(archive: Path, folder: Path) -> None:
    """Write bases, failures and coverage of an archive to a folder.

    Raises ArchiveError; entries that cannot be read are rows of `failures`.
    """
    content = dict(read_members(archive, [BASES])).get(BASES)
    misfits: list[Misfit] = []
    bases = list(read_bases(content, misfits)) if content is not None else []
    failures = [("bases", m.name, m.reference, None, m.reason, m.detail) for m in misfits]
    coverage = [
        cover_file("bases", BASES, content is not None, len(bases) + len(misfits), len(bases))
    ]
    tables: Mapping[str, list[Row]] = {"bases": bases, "failures": failures, "coverage": coverage}
    with open_writers(folder, tuple(tables)) as writers:
        for name, rows in tables.items():
            writers[name].write(to_columns(name, rows))


def cover_file(part: str, path: str, is_there: bool, expected: int, present: int) -> Row:
    """Make the row of `coverage` for what one file of the archive holds."""
    if not is_there:
        return part, max(expected, 1), 0, f"{path} is missing"
    return part, expected, present, f"{present} of {expected} repositories are in {path}"


def to_columns(name: str, rows: list[Row]) -> dict[str, Any]:
    """Turn rows of a table into its columns."""
    columns = [column.name for column in TABLES[name].columns]
    cells = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return dict(zip(columns, cells, strict=True))


def read_subset(content: bytes, misfits: list[Misfit]) -> Iterator[Row]:
    """Yield the rows of `subset` from full_uri_subset.csv; add what cannot be read to misfits."""
    lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    try:
        for line in lines:
            try:
                yield _read_layer(line)
            except (KeyError, TypeError, ValueError) as exc:
                misfits.append(Misfit(SUBSET, f"line {lines.line_num}", "invalid_row", repr(exc)))
    except csv.Error as exc:
        misfits.append(Misfit(SUBSET, f"line {lines.line_num}", "broken_csv", str(exc)))


def read_bases(content: bytes, misfits: list[Misfit]) -> Iterator[Row]:
    """Yield the rows of `bases` from {image: {base_image, score}}; add the rest to misfits."""
    try:
        entries = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        misfits.append(Misfit(BASES, None, "broken_json", str(exc)))
        return
    for image, entry in entries.items():
        try:
            found = msgspec.json.decode(entry, type=_Classification)
            yield image, found.base_image, find_family(found.base_image), found.score
        except InvalidReference as exc:
            misfits.append(Misfit(image, None, "invalid_reference", str(exc)))
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            misfits.append(Misfit(image, None, "invalid_row", str(exc)))


def find_family(base: str) -> str:
    """Return the distribution that a base image is of: docker.io/library/debian:12 → debian.

    Raises InvalidReference.
    """
    return parse_reference(base).repository.removeprefix("library/")


def _read_layer(line: dict[str, str]) -> Row:
    layer_number, size_bytes = int(line["layer_number"]), int(line["size"])
    if not (0 <= layer_number < _INT32_LIMIT and 0 <= size_bytes < _INT64_LIMIT):
        raise ValueError("layer_number or size is out of range")
    texts = (line["uri"], line["tag"], line["digest"])
    if not all(texts):
        raise ValueError("uri, tag or digest is empty")
    name, tag, digest = texts
    return name, tag, layer_number, digest, size_bytes
