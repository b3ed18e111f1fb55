"""The slides' examples of what pulling costs: `resources/cost.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pullstudy.cost.formula import Cluster, Speed, Workload
from pullstudy.schemas import check_document, read_yaml

_UNIT_SECONDS = {"seconds": 1, "minutes": 60}


@dataclass(frozen=True)
class Example:
    """One example: by the sizes of its layers, and by the size of an image that the slide states.

    unit_seconds: what the slide takes differences in whole numbers of.
    """

    right: Workload
    as_published: Workload
    unit_seconds: int


@dataclass(frozen=True)
class Slides:
    """All that the slides state about cost."""

    cluster: Cluster
    speeds: tuple[Speed, ...]
    examples: tuple[Example, ...]


def read_slides(path: Path, schema: Path) -> Slides:
    """Read and check the file of examples. Raises ConfigError."""
    document = read_yaml(path)
    check_document(document, schema, str(path))
    speeds = document["megabytes_per_second"]
    return Slides(
        Cluster(**document["cluster"]),
        tuple(Speed(name, "stated", speeds[name]) for name in ("slow", "fast")),
        tuple(map(_read_example, document["examples"])),
    )


def identical_images(scenario: str, images: int, layers: Mapping[int, int]) -> Workload:
    """Make the workload of images that have all their layers in common, or none of them.

    layers: how many there are in an image of each size in bytes.
    """
    count = sum(layers.values())
    size = sum(number * size_bytes for size_bytes, number in layers.items())
    return Workload(scenario, images, count, images * count, size, images * size)


def _read_example(entry: Mapping[str, Any]) -> Example:
    name, images = entry["name"], entry["images"]
    layers: dict[int, int] = {}
    for layer in entry["layers"]:
        size = round(layer["megabytes"] * 1e6)
        layers[size] = layers.get(size, 0) + layer["count"]
    right = identical_images(name, images, layers)
    stated = round(entry.get("image_megabytes", right.shared_bytes / 1e6) * 1e6)
    as_published = Workload(
        name, images, right.shared_layers, right.separate_layers, stated, images * stated
    )
    return Example(right, as_published, _UNIT_SECONDS[entry["difference_in"]])
