"""Container sets as registries hold them today: by the manifests and configs of their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pullstudy.archive.published import to_columns
from pullstudy.bases.images import Image
from pullstudy.bases.run import RunSettings, find_images
from pullstudy.bases.tabulate import Row, describe_failure
from pullstudy.errors import PullstudyError
from pullstudy.naming import parse_reference
from pullstudy.registry.live import make_settings
from pullstudy.registry.platforms import parse_platform
from pullstudy.tables import open_writers


def harvest_container_sets(
    sets: Mapping[str, Sequence[str]], options: Mapping[str, Any], folder: Path
) -> None:
    """Ask for the images of each set; write the tables of the stage `strategies` to a folder.

    sets: by name, references into registries. options: the keys of the config below `registry`;
    of its platforms the first is taken. No layer is fetched. An image that cannot be had is a row
    of `failures`. Raises ConfigError when the credentials cannot be read.
    """
    wanted = {name: list(dict.fromkeys(images)) for name, images in sets.items()}
    names = [image for images in wanted.values() for image in images]
    platform = parse_platform(options["platforms"][0])
    settings = RunSettings(make_settings(options), platform, images_at_once=options["concurrency"])
    results = find_images(names, settings)
    found = [
        (set_name, image)
        for set_name, images in wanted.items()
        for image in map(results.__getitem__, images)
        if isinstance(image, Image)
    ]
    failures = [
        describe_failure("container_sets", name, error)
        for name, error in results.items()
        if isinstance(error, PullstudyError)
    ]
    detail = f"{len(found)} of {len(names)} images could be had"
    tables: dict[str, list[Row]] = {
        "container_sets": [row for each in found for row in _layers_of(*each)],
        "container_images": [_describe(*each) for each in found],
        "failures": failures,
        "coverage": [("container_sets", len(names), len(found), detail)],
    }
    with open_writers(folder, tuple(tables)) as writers:
        for table, rows in tables.items():
            writers[table].write(to_columns(table, rows))


def _layers_of(set_name: str, image: Image) -> Iterator[Row]:
    for number, layer in enumerate(image.layers):
        yield set_name, *_split_name(image.name), number, layer.digest, layer.size


def _describe(set_name: str, image: Image) -> Row:
    told = list(image.diff_ids), list(image.commands)
    return set_name, *_split_name(image.name), image.config_digest, *told


def _split_name(name: str) -> tuple[str, str]:
    """Split a reference into repository and tag (or digest)."""
    reference = parse_reference(name)
    repository = f"{reference.registry}/{reference.repository}"
    return repository, reference.digest or reference.tag or "latest"
