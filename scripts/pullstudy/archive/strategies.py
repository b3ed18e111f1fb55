"""The container sets of the published archive: the same applications built in different ways.

One folder per set below `similarity/data/containers`, in it one file per repository, of the form
that the registry's documents have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pullstudy.archive.members import read_members
from pullstudy.archive.published import Row, cover_file, to_columns
from pullstudy.registry.documents import (
    IMAGE,
    UnreadableDocument,
    classify_manifest,
    decode_repository,
)
from pullstudy.tables import open_writers

CONTAINER_SETS = "similarity/data/containers"
_DOCUMENT = "manifests-config-layers.json"


def tabulate_container_sets(archive: Path, folder: Path) -> None:
    """Write container_sets, failures and coverage of an archive to a folder.

    An image is a tag with an image manifest. Raises ArchiveError; a file that is broken is a row of
    `failures`, and that there is no set one of `coverage`.
    """
    rows: list[Row] = []
    failures: list[Row] = []
    for path, content in read_members(archive, [CONTAINER_SETS]):
        set_name, _, rest = path.removeprefix(f"{CONTAINER_SETS}/").partition("/")
        name, _, file_name = rest.rpartition("/")
        if file_name != _DOCUMENT:
            continue
        try:
            rows += [(set_name, name, *layer) for layer in _read_layers(content)]
        except UnreadableDocument as exc:
            failures.append(("container_sets", path, None, None, exc.reason, exc.detail))
    read = len({(set_name, name) for set_name, name, *_ in rows})
    coverage = [
        cover_file("container_sets", CONTAINER_SETS, bool(rows), read + len(failures), read)
    ]
    tables = {"container_sets": rows, "failures": failures, "coverage": coverage}
    with open_writers(folder, tuple(tables)) as writers:
        for table, found in tables.items():
            writers[table].write(to_columns(table, found))


def _read_layers(content: bytes) -> Iterator[Row]:
    document, _ = decode_repository(content)
    for tag, manifest in (document.manifests or {}).items():
        if manifest is not None and classify_manifest(manifest) == IMAGE:
            for number, layer in enumerate(manifest.layers or ()):
                yield tag, number, layer.digest, layer.size
