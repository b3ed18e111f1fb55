"""The images of a pull study: references, a table of crafted images, or a crafting study."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pullstudy.bases.images import Image, ImageFinder
from pullstudy.craft.run import plan_file
from pullstudy.craft.study import Surroundings
from pullstudy.errors import ConfigError
from pullstudy.pulls.record import PullImage, read_crafted_tag
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform
from pullstudy.registry.transport import RequestFailed, open_session

_CRAFTED_COLUMNS = (
    "study",
    "name",
    "tag",
    "target_bytes",
    "uncompressed_bytes",
    "layer_count",
)


class PulledImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image to pull, and what is known of it before: None where nobody has said."""

    reference: str
    layers: int | None = None
    nominal_bytes: int | None = None
    uncompressed_bytes: int | None = None


def read_images(entry: str | dict[str, Any], find: Callable[[str], Path]) -> Iterator[PulledImage]:
    """Yield the images of one entry of `images`; find: where a file that it names is.

    Raises ConfigError.
    """
    if isinstance(entry, str):
        layers, nominal_bytes = read_crafted_tag(entry)
        yield PulledImage(reference=entry, layers=layers, nominal_bytes=nominal_bytes)
    elif "table" in entry:
        yield from _read_table(find(entry["table"]), entry)
    else:
        yield from _read_craft_study(find(entry["craft"]), entry.get("repository"))


def _read_table(path: Path, entry: dict[str, Any]) -> Iterator[PulledImage]:
    """Read `crafted_images`.

    Of the entry: repository: where they are, instead of what their names say; registry: host for
    names that have none; study, layers: only images of this study file, of so many layers.
    """
    try:
        rows = pq.read_table(path, columns=list(_CRAFTED_COLUMNS)).to_pylist()
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such file; craft the images first") from exc
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as exc:
        raise ConfigError(f"{path}: no table crafted_images") from exc
    for row in rows:
        counts = entry.get("layers", [row["layer_count"]])
        if entry.get("study", row["study"]) == row["study"] and row["layer_count"] in counts:
            name = f"{entry['repository']}:{row['tag']}" if "repository" in entry else row["name"]
            yield PulledImage(
                reference=f"{entry['registry']}/{name}" if "registry" in entry else name,
                layers=row["layer_count"],
                nominal_bytes=row["target_bytes"],
                uncompressed_bytes=row["uncompressed_bytes"],
            )


def _read_craft_study(path: Path, repository: str | None) -> Iterator[PulledImage]:
    """Plan what a crafting study makes: the images must have been pushed."""
    plan, _ = plan_file(path, Surroundings(repository))
    for image in plan.images:
        tag, uri = image.cell.tag, plan.study.uri
        yield PulledImage(
            reference=f"{uri}:{tag}" if uri else tag,
            layers=image.cell.layer_count,
            nominal_bytes=image.cell.size.total_bytes,
            uncompressed_bytes=image.uncompressed_bytes,
        )


def describe_images(
    study: str, images: Sequence[PulledImage], settings: HarvestSettings, platform: Platform
) -> tuple[list[PullImage], list[RequestFailed]]:
    """Read the manifests of images; returns a row of `pull_images` for each, and what failed.

    What failed are registries that cannot be reached from here: nodes may reach them. Raises
    RequestFailed or ImageError when a registry says that there is no such image.
    """
    found, unread = asyncio.run(_find_images(images, settings, platform))
    holders = Counter(
        digest for image in found.values() for digest in {layer.digest for layer in image.layers}
    )
    rows = [
        PullImage(
            study=study,
            image=image.reference,
            layers=image.layers,
            manifest_layers=len(found[image.reference].layers),
            nominal_bytes=image.nominal_bytes,
            compressed_bytes=found[image.reference].compressed_bytes,
            largest_layer_bytes=max((y.size for y in found[image.reference].layers), default=0),
            shared_layers=sum(holders[y.digest] > 1 for y in found[image.reference].layers),
        )
        for image in images
        if image.reference in found
    ]
    return rows, unread


async def _find_images(
    images: Sequence[PulledImage], settings: HarvestSettings, platform: Platform
) -> tuple[dict[str, Image], list[RequestFailed]]:
    found: dict[str, Image] = {}
    unread: list[RequestFailed] = []
    async with open_session() as session:
        finder = ImageFinder(session, settings, platform)
        for image in images:
            try:
                found[image.reference] = await finder.find(image.reference)
            except RequestFailed as exc:
                if exc.status is not None:
                    raise
                unread.append(exc)
    return found, unread
