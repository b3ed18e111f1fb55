"""Bytes to seconds to dollars: what a cluster is paid for while its nodes pull.

The model is the slides': a node pulls so many bytes at one speed, all nodes do so at the same time,
and the price of every node runs on. What is not in it: registries that slow down when many nodes
ask, and the last node, which takes longer than the others; `pulls.model` has those.

Two cases bound a set of images. Shared: a node keeps every layer, and pulls each digest once.
Separate: nothing is shared, or nothing is kept between the images.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from pullstudy.errors import ConfigError

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Cluster:
    """Nodes that are paid for together, used or waiting."""

    nodes: int
    dollars_per_node_hour: float

    def dollars(self, seconds: float) -> float:
        """Price of the whole cluster for so many seconds."""
        return self.nodes * self.dollars_per_node_hour * seconds / _SECONDS_PER_HOUR


@dataclass(frozen=True)
class Speed:
    """How fast a node pulls, in 10^6 compressed bytes a second.

    speed: slow, typical or fast. speed_source: stated, measured or assumed.
    """

    speed: str
    speed_source: str
    megabytes_per_second: float

    def seconds(self, size_bytes: float) -> float:
        """Time to pull so many bytes."""
        return size_bytes / (self.megabytes_per_second * 1e6)


@dataclass(frozen=True)
class Workload:
    """A set of images by its two cases; layers and compressed bytes that one node pulls."""

    scenario: str
    images: int
    shared_layers: int
    separate_layers: int
    shared_bytes: int
    separate_bytes: int


def cost_of(workload: Workload, speed: Speed, cluster: Cluster) -> dict[str, Any]:
    """Return one row of table `costs`, without rounding."""
    shared, separate = speed.seconds(workload.shared_bytes), speed.seconds(workload.separate_bytes)
    return _make_row(workload, speed, cluster, "right") | {
        "shared_seconds": shared,
        "separate_seconds": separate,
        "saved_seconds": separate - shared,
        "shared_dollars": cluster.dollars(shared),
        "separate_dollars": cluster.dollars(separate),
        "saved_dollars": cluster.dollars(separate - shared),
    }


def cost_as_published(
    workload: Workload, speed: Speed, cluster: Cluster, unit_seconds: int
) -> dict[str, Any]:
    """Return one row of table `costs`, rounded on the way as the slides do.

    Times are whole seconds, rounded up; their difference is taken in whole seconds or minutes
    (`unit_seconds`), and multiplied by the price of the cluster in whole dollars an hour.
    """
    shared = math.ceil(speed.seconds(workload.shared_bytes))
    separate = math.ceil(speed.seconds(workload.separate_bytes))
    saved = unit_seconds * round((separate - shared) / unit_seconds)
    hourly = round(cluster.dollars(_SECONDS_PER_HOUR))
    prices = [hourly * seconds / _SECONDS_PER_HOUR for seconds in (shared, separate, saved)]
    return _make_row(workload, speed, cluster, "as_published") | {
        "shared_seconds": float(shared),
        "separate_seconds": float(separate),
        "saved_seconds": float(saved),
        **dict(zip(("shared_dollars", "separate_dollars", "saved_dollars"), prices, strict=True)),
    }


def _make_row(
    workload: Workload, speed: Speed, cluster: Cluster, definition: str
) -> dict[str, Any]:
    return {
        **asdict(workload),
        **asdict(speed),
        **asdict(cluster),
        "definition": definition,
        "megabytes_per_second": float(speed.megabytes_per_second),
        "dollars_per_node_hour": float(cluster.dollars_per_node_hour),
    }


def parse_speeds(text: str) -> tuple[Speed, ...]:
    """Read `25` or `3-5`, in 10^6 bytes a second. Raises ConfigError."""
    try:
        numbers = [float(part) for part in text.split("-")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or not all(0 < n < math.inf for n in numbers):
        raise ConfigError(f"{text!r}: no speed; write it in MB/s, like 25 or 3-5")
    if len(numbers) == 1:
        return (Speed("typical", "stated", numbers[0]),)
    return tuple(
        Speed(name, "stated", n) for name, n in zip(("slow", "fast"), sorted(numbers), strict=True)
    )
