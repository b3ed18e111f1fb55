"""How much of two images is the same, level by level.

After the metrics of Singularity Hub (Sochat, Prybol, Kurtzer 2017, doi:10.1371/journal.pone.
0188511): the score of a level is 2 |same| / (|A| + |B|). The levels are those of images in
registries, the strictest first: the same manifest makes everything the same, the same unpacked
layers make the same files, these the same contents, these the same paths, these the same base.
Beside them stand the commands of the history: what the paper calls the content of layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from pullstudy.bases.database import BaseDatabase
from pullstudy.bases.entries import SYMLINK
from pullstudy.bases.paths import ImageFiles
from pullstudy.bases.score import classify_paths

LEVELS = {
    "manifest": "the same manifest: nothing differs",
    "config": "the same config: layers may be compressed in another way",
    "layers": "the same compressed layers in the same order",
    "unpacked_layers": "the same layers when unpacked, as the configs say",
    "commands": "the same commands in the same order, as the configs say",
    "files": "the same files with mode and owner; times are ignored",
    "contents": "the same contents under the same paths",
    "paths": "the same paths",
    "base": "the same most similar base image",
}


@dataclass(frozen=True)
class ImageParts:
    """What is compared of an image. manifest, config: digests; None where they are not known."""

    name: str
    manifest: str | None
    config: str | None
    layers: tuple[str, ...]
    unpacked_layers: tuple[str, ...]
    commands: tuple[str, ...] = ()
    files: ImageFiles | None = None
    base: str | None = None


@dataclass(frozen=True)
class LevelResult:
    """One level: what both have of how much, the score of Singularity Hub, the Jaccard index."""

    level: str
    is_identical: bool
    shared: int
    in_a: int
    in_b: int
    score: float
    jaccard: float


@dataclass(frozen=True)
class Comparison:
    """Two images on all levels that are known of both. set_name: what both belong to."""

    a: ImageParts
    b: ImageParts
    levels: tuple[LevelResult, ...]
    set_name: str | None = None


def describe_image(files: ImageFiles, database: BaseDatabase | None) -> ImageParts:
    """Collect what is compared; without a database there is no level `base`.

    files: read with digests.
    """
    image = files.image
    best = classify_paths(image.name, files.paths, database).best if database else None
    return ImageParts(
        image.name,
        image.digest,
        image.config_digest,
        tuple(layer.digest for layer in image.layers),
        image.diff_ids,
        image.commands,
        files,
        best.base if best else None,
    )


def compare_all(images: Sequence[ImageParts], set_name: str | None = None) -> Iterator[Comparison]:
    """Compare each image with each later one."""
    for a, b in itertools.combinations(images, 2):
        yield Comparison(a, b, tuple(compare_images(a, b)), set_name)


def compare_images(a: ImageParts, b: ImageParts) -> Iterator[LevelResult]:
    """Compare two images on all levels that are known of both, in the order of LEVELS."""
    if a.manifest is not None and b.manifest is not None:
        yield compare_sets("manifest", {a.manifest}, {b.manifest})
    if a.config is not None and b.config is not None:
        yield compare_sets("config", {a.config}, {b.config})
    yield _compare_lists("layers", a.layers, b.layers)
    # A config that does not say them has none.
    if a.unpacked_layers and b.unpacked_layers:
        yield _compare_lists("unpacked_layers", a.unpacked_layers, b.unpacked_layers)
    if a.commands and b.commands:
        yield _compare_lists("commands", a.commands, b.commands)
    if a.files is not None and b.files is not None:
        yield from _compare_files(a.files, b.files)
    if a.base is not None and b.base is not None:
        yield compare_sets("base", {a.base}, {b.base})


def compare_sets(
    level: str, a: Set[object], b: Set[object], is_identical: bool | None = None
) -> LevelResult:
    """Compare two sets; two empty ones are identical, with the score 1.

    is_identical: where equal sets are not enough.
    """
    shared = len(a & b)
    identical = a == b if is_identical is None else is_identical
    if not a and not b:
        return LevelResult(level, identical, 0, 0, 0, 1.0, 1.0)
    total = len(a) + len(b)
    return LevelResult(
        level, identical, shared, len(a), len(b), 2 * shared / total, shared / (total - shared)
    )


def _compare_lists(level: str, a: Sequence[str], b: Sequence[str]) -> LevelResult:
    return compare_sets(level, frozenset(a), frozenset(b), a == b)


def _compare_files(a: ImageFiles, b: ImageFiles) -> Iterator[LevelResult]:
    yield compare_sets("files", _files_of(a), _files_of(b))
    yield compare_sets("contents", _contents_of(a), _contents_of(b))
    yield compare_sets("paths", {file.path for file in a.files}, {file.path for file in b.files})


def _files_of(image: ImageFiles) -> set[object]:
    """Path, kind, content, mode and owner of all that is no folder."""
    return {
        # A link has no mode: what stands in its header differs between tools.
        (path, e.kind, e.content, 0 if e.kind == SYMLINK else e.mode, e.uid, e.gid)
        for path, e, _ in image.files
    }


def _contents_of(image: ImageFiles) -> set[object]:
    return {(path, entry.kind, entry.content) for path, entry, _ in image.files}
