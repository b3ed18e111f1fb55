"""Put together what is known of images before they are pulled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from pullstudy.cost.formula import Cluster, Speed
from pullstudy.errors import PullstudyError
from pullstudy.inspection.layers import InspectedLayer, list_layers
from pullstudy.inspection.origin import Base, find_age_days, find_base
from pullstudy.inspection.practices import Broken, find_broken
from pullstudy.inspection.reading import ReadImage, read_images
from pullstudy.inspection.runtimes import Refusal, find_refusals
from pullstudy.inspection.sharing import (
    LocalImage,
    Share,
    distinct_bytes,
    list_local_images,
    missing_bytes,
    share_digests,
    share_local,
)
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform


@dataclass(frozen=True)
class PullPlan:
    """Where and how fast images are going to be pulled.

    registry_megabytes_per_second: for all nodes together; None: as much as they take.
    """

    cluster: Cluster
    speeds: tuple[Speed, ...]
    registry_megabytes_per_second: float | None = None

    def seconds(self, size_bytes: int, speed: Speed) -> float:
        """Time until the last node has so many bytes."""
        alone = speed.seconds(size_bytes)
        limit = self.registry_megabytes_per_second
        return max(alone, size_bytes * self.cluster.nodes / (limit * 1e6)) if limit else alone


@dataclass(frozen=True)
class PullCost:
    """What a pull onto all nodes takes at one speed: cold, and where the compared images are."""

    speed: Speed
    cold_seconds: float
    warm_seconds: float
    cold_dollars: float
    warm_dollars: float


@dataclass(frozen=True)
class Inspection:
    """All that is said of one image; layers are empty when it is no image."""

    image: ReadImage
    layers: tuple[InspectedLayer, ...]
    size_bytes: int
    missing_bytes: int
    age_days: float | None
    base: Base | None
    refusals: list[Refusal]
    shares: list[Share]
    broken: list[Broken]
    costs: list[PullCost]

    @property
    def largest(self) -> list[InspectedLayer]:
        """The layers, the largest first."""
        return sorted(self.layers, key=lambda layer: -layer.size_bytes)


def inspect_images(
    names: Sequence[str],
    compared: Sequence[str],
    settings: HarvestSettings,
    platform: Platform,
    plan: PullPlan,
    *,
    with_local: bool,
    count: Callable[[], None] = lambda: None,
) -> dict[str, Inspection | PullstudyError]:
    """Inspect images, in the order of their names; what cannot be read has its error.

    compared: images that they are compared with, besides each other. with_local: compare also with
    the images of Docker Engine. count: called after each image that was read.
    Raises ConfigError, or the error of a compared image.
    """
    with ThreadPoolExecutor(2) as beside:
        # What judges practices takes long to load: it does so while the registries answer.
        beside.submit(import_module, "pullstudy.query")
        local_images = beside.submit(list_local_images) if with_local else None
        read = read_images([*names, *compared], settings, platform, count)
        local = local_images.result() if local_images else []
    for name in compared:
        error = read[name]
        if isinstance(error, PullstudyError):
            raise error
    images = {name: image for name, image in read.items() if isinstance(image, ReadImage)}
    layers = {name: _layers_of(image) for name, image in images.items()}
    asked = [name for name in dict.fromkeys(names) if name in images]
    broken = dict(zip(asked, find_broken([images[name] for name in asked]), strict=True))
    others = {name: layers[name] for name in compared}
    now = datetime.now(UTC)
    return {
        name: image
        if isinstance(image, PullstudyError)
        else _inspect(image, layers, others, local, broken[name], plan, now)
        for name, image in ((name, read[name]) for name in dict.fromkeys(names))
    }


def _layers_of(image: ReadImage) -> tuple[InspectedLayer, ...]:
    if image.manifest is None or image.config is None:
        return ()
    return list_layers(image.manifest, image.config)


def _inspect(
    image: ReadImage,
    all_layers: Mapping[str, tuple[InspectedLayer, ...]],
    others: Mapping[str, tuple[InspectedLayer, ...]],
    local: Sequence[LocalImage],
    broken: list[Broken],
    plan: PullPlan,
    now: datetime,
) -> Inspection:
    layers = all_layers[image.name]
    shares = [
        share_digests(layers, name, other)
        for name, other in all_layers.items()
        if name != image.name
    ]
    here = [share_local(layers, other) for other in local]
    shares += sorted(here, key=lambda share: -share.size_bytes)[:1]
    known = {name: other for name, other in others.items() if name != image.name}
    missing = missing_bytes(layers, known, local)
    manifest, config = image.manifest, image.config
    size = distinct_bytes(layers)
    return Inspection(
        image,
        layers,
        size,
        missing,
        find_age_days(config, now) if config else None,
        find_base(manifest, config, layers, shares) if manifest and config else None,
        find_refusals(image, layers),
        [share for share in shares if share.layers],
        broken,
        [_cost(size, missing, speed, plan) for speed in plan.speeds],
    )


def _cost(size: int, missing: int, speed: Speed, plan: PullPlan) -> PullCost:
    cold, warm = plan.seconds(size, speed), plan.seconds(missing, speed)
    return PullCost(speed, cold, warm, plan.cluster.dollars(cold), plan.cluster.dollars(warm))


def to_document(inspection: Inspection, plan: PullPlan) -> dict[str, Any]:
    """Give an inspection as JSON has it."""
    image = inspection.image
    config = image.config
    return {
        "image": image.name,
        "kind": image.kind,
        "digest": image.digest,
        "platform": str(image.platform),
        "platforms_offered": image.offered or None,
        "size_bytes": inspection.size_bytes,
        "layer_count": len(inspection.layers),
        "created_at_utc": config.created if config else None,
        "age_days": inspection.age_days,
        "base": asdict(inspection.base) if inspection.base else None,
        "layers": [asdict(layer) for layer in inspection.layers],
        "refused_by": [asdict(refusal) for refusal in inspection.refusals],
        "shared_with": [asdict(share) for share in inspection.shares],
        "practices_broken": [asdict(broken) for broken in inspection.broken],
        "nodes": plan.cluster.nodes,
        "dollars_per_node_hour": plan.cluster.dollars_per_node_hour,
        "missing_bytes": inspection.missing_bytes,
        "pulls": [asdict(cost) for cost in inspection.costs],
    }
