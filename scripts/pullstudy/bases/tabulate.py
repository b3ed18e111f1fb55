"""Classifications and comparisons as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pullstudy.archive.published import find_family, to_columns
from pullstudy.bases.compare import Comparison, ImageParts, compare_all
from pullstudy.bases.score import Classification
from pullstudy.errors import EmptyCorpus, InvalidReference, PullstudyError
from pullstudy.registry.transport import RequestFailed
from pullstudy.tables import open_writers, write_table

_NO_KNOWN_PATH = "no_known_path"

Row = tuple[Any, ...]


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


def compare_container_sets(layers: Path, images: Path, path: Path) -> None:
    """Write the comparisons within each container set as table `image_comparisons`.

    layers, images: tables `container_sets` and `container_images`. Manifests and configs are all
    that is known of them: the levels are config, layers, unpacked_layers and commands. Raises
    EmptyCorpus when there is no image.
    """
    sets = _read_sets(layers, images)
    if not sets:
        raise EmptyCorpus(f"{images}: there is no container set in it")
    comparisons = (row for name, parts in sets.items() for row in compare_all(parts, name))
    write_comparisons(comparisons, path)


def _read_sets(layers: Path, images: Path) -> dict[str, list[ImageParts]]:
    digests: dict[tuple[str, str, str], list[str]] = {}
    for row in pq.read_table(layers).to_pylist():
        image = row["set_name"], row["name"], row["tag"]
        digests.setdefault(image, []).append(row["digest"])
    sets: dict[str, list[ImageParts]] = {}
    for row in pq.read_table(images).to_pylist():
        image = set_name, name, tag = row["set_name"], row["name"], row["tag"]
        told = tuple(row["diff_ids"]), tuple(row["commands"])
        parts = ImageParts(
            f"{name}:{tag}", None, row["config_digest"], tuple(digests.get(image, ())), *told
        )
        sets.setdefault(set_name, []).append(parts)
    return sets


def describe_failure(stage: str, name: str, error: PullstudyError) -> Row:
    """Make the row of `failures` of an image that could not be had."""
    if isinstance(error, RequestFailed):
        return stage, name, None, error.status, error.reason, str(error)
    is_invalid = isinstance(error, InvalidReference)
    reason = "invalid_reference" if is_invalid else "unreadable_image"
    return stage, name, None, None, reason, str(error)


def _failures_of(name: str, result: Classification | PullstudyError) -> Iterator[Row]:
    if isinstance(result, PullstudyError):
        yield describe_failure("bases", name, result)
    elif result.best is None:
        detail = f"none of its {result.image_paths} paths is in the database"
        yield "bases", name, None, None, _NO_KNOWN_PATH, detail
