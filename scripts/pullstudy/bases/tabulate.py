"""Classifications and comparisons as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import msgspec

from pullstudy.archive.members import read_members
from pullstudy.archive.published import find_family, to_columns
from pullstudy.bases.compare import Comparison, ImageParts, compare_all
from pullstudy.bases.score import Classification
from pullstudy.errors import ArchiveError, ArchiveMissing, InvalidReference, PullstudyError
from pullstudy.registry.transport import RequestFailed
from pullstudy.tables import open_writers, write_table

# One folder per set, in it one file per repository, of the form of the registry's documents.
CONTAINER_SETS = "similarity/data/containers"
_DOCUMENT = "manifests-config-layers.json"
_NO_KNOWN_PATH = "no_known_path"

Row = tuple[Any, ...]


class _Descriptor(msgspec.Struct):
    digest: str


class _Manifest(msgspec.Struct):
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


class _Config(msgspec.Struct):
    rootfs: _RootFs | None = None


class _Repository(msgspec.Struct):
    manifests: dict[str, _Manifest | None] = {}
    configs: dict[str, _Config | None] = {}


def write_classifications(
    results: Mapping[str, Classification | PullstudyError], folder: Path
) -> None:
    """Write bases, base_scores, failures and coverage; results: by name of the image.

    An image of which no path is known has no base: it is a row of `failures`, like one that could
    not be read.
    """
    found = [r for r in results.values() if isinstance(r, Classification)]
    bases = [(c.name, c.best.base, find_family(c.best.base), c.best.score) for c in found if c.best]
    scores = [
        (
            *(c.name, score.base, c.image_paths, c.known_paths),
            *(score.shared_paths, score.base_paths, score.score, score.jaccard),
        )
        for c in found
        for score in c.scores
    ]
    failures = [row for name, result in results.items() for row in _failures_of(name, result)]
    detail = f"{len(bases)} of {len(results)} images could be classified"
    tables: dict[str, list[Row]] = {
        "bases": bases,
        "base_scores": scores,
        "failures": failures,
        "coverage": [("bases", len(results), len(bases), detail)],
    }
    with open_writers(folder, tuple(tables)) as writers:
        for name, rows in tables.items():
            writers[name].write(to_columns(name, rows))


def write_comparisons(comparisons: Iterable[Comparison], path: Path) -> None:
    """Write comparisons as table `image_comparisons`."""
    rows = [
        (c.set_name, c.a.name, c.b.name, *astuple(level)) for c in comparisons for level in c.levels
    ]
    write_table("image_comparisons", path, to_columns("image_comparisons", rows))


def compare_container_sets(archive: Path, path: Path) -> None:
    """Write the comparisons within each container set of the published archive.

    Manifests and configs are all that is published of them: the levels are config, layers and
    unpacked_layers. Raises ArchiveError.
    """
    sets = read_container_sets(archive)
    comparisons = (row for name, images in sets.items() for row in compare_all(images, name))
    write_comparisons(comparisons, path)


def read_container_sets(archive: Path) -> dict[str, list[ImageParts]]:
    """Read the images of each container set of the published archive. Raises ArchiveError."""
    sets: dict[str, list[ImageParts]] = {}
    for path, content in read_members(archive, [CONTAINER_SETS]):
        set_name, _, rest = path.removeprefix(f"{CONTAINER_SETS}/").partition("/")
        name, _, file_name = rest.rpartition("/")
        if file_name != _DOCUMENT:
            continue
        try:
            repository = msgspec.json.decode(content, type=_Repository)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ArchiveError(f"{archive}: {path}: cannot be read: {exc}") from exc
        sets.setdefault(set_name, []).extend(_images_of(name, repository))
    if not sets:
        raise ArchiveMissing(
            f"{archive}: no container set below {CONTAINER_SETS}; check the archive"
        )
    return sets


def _images_of(name: str, repository: _Repository) -> Iterator[ImageParts]:
    for tag, manifest in repository.manifests.items():
        if manifest is None or manifest.config is None or manifest.layers is None:
            continue
        config = repository.configs.get(tag)
        diff_ids = config.rootfs.diff_ids if config is not None and config.rootfs else []
        layers = tuple(layer.digest for layer in manifest.layers)
        yield ImageParts(f"{name}:{tag}", None, manifest.config.digest, layers, tuple(diff_ids))


def _failures_of(name: str, result: Classification | PullstudyError) -> Iterator[Row]:
    if isinstance(result, RequestFailed):
        yield "bases", name, None, result.status, result.reason, str(result)
    elif isinstance(result, InvalidReference):
        yield "bases", name, None, None, "invalid_reference", str(result)
    elif isinstance(result, PullstudyError):
        yield "bases", name, None, None, "unreadable_image", str(result)
    elif result.best is None:
        detail = f"none of its {result.image_paths} paths is in the database"
        yield "bases", name, None, None, _NO_KNOWN_PATH, detail
