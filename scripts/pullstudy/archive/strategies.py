"""The container sets of the published archive: the same applications built in different ways.

One folder per set below `similarity/data/containers`, in it one file per repository, of the form
that the registry's documents have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pullstudy.archive.members import read_members
from pullstudy.archive.published import Row, cover_file, to_columns
from pullstudy.registry.documents import (
    IMAGE,
    Config,
    Manifest,
    UnreadableDocument,
    classify_manifest,
    decode_repository,
)
from pullstudy.tables import open_writers

CONTAINER_SETS = "similarity/data/containers"
_DOCUMENT = "manifests-config-layers.json"


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


def tabulate_container_sets(archive: Path, folder: Path) -> None:
    """Write container_sets, container_images, failures and coverage of an archive to a folder.

    An image is a tag with an image manifest. Raises ArchiveError; a file that is broken is a row of
    `failures`, and that there is no set one of `coverage`.
    """
    layers: list[Row] = []
    images: list[Row] = []
    failures: list[Row] = []
    for path, content in read_members(archive, [CONTAINER_SETS]):
        set_name, _, rest = path.removeprefix(f"{CONTAINER_SETS}/").partition("/")
        name, _, file_name = rest.rpartition("/")
        if file_name != _DOCUMENT:
            continue
        try:
            for tag, manifest, config in _read_images(content):
                layers += [(set_name, name, tag, *layer) for layer in _layers_of(manifest)]
                images.append((set_name, name, tag, *_describe(manifest, config)))
        except UnreadableDocument as exc:
            failures.append(("container_sets", path, None, None, exc.reason, exc.detail))
    read = len({(set_name, name) for set_name, name, *_ in layers})
    coverage = [
        cover_file("container_sets", CONTAINER_SETS, bool(layers), read + len(failures), read)
    ]
    tables = {
        "container_sets": layers,
        "container_images": images,
        "failures": failures,
        "coverage": coverage,
    }
    with open_writers(folder, tuple(tables)) as writers:
        for table, found in tables.items():
            writers[table].write(to_columns(table, found))


def _read_images(content: bytes) -> Iterator[tuple[str, Manifest, Config]]:
    document, _ = decode_repository(content)
    configs = document.configs or {}
    for tag, manifest in (document.manifests or {}).items():
        if manifest is not None and classify_manifest(manifest) == IMAGE:
            yield tag, manifest, configs.get(tag) or Config()


def _layers_of(manifest: Manifest) -> Iterator[Row]:
    for number, layer in enumerate(manifest.layers or ()):
        yield number, layer.digest, layer.size


def _describe(manifest: Manifest, config: Config) -> Row:
    """Return the digest of the config, those of the unpacked layers, and the commands."""
    digest = manifest.config.digest if manifest.config else None
    try:
        diff_ids = msgspec.json.decode(config.rootfs, type=_RootFs).diff_ids
    except msgspec.DecodeError:
        diff_ids = []
    commands = [step.created_by for step in config.history or () if step.created_by is not None]
    return digest, diff_ids, commands
