"""Table `costs`: the slides' examples and the real container sets, on the study's clusters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pullstudy.cost.examples import Slides
from pullstudy.cost.formula import Cluster, Speed, Workload, cost_as_published, cost_of
from pullstudy.tables import TABLES, write_table

_MEASURED = ("slow", "typical", "fast")


def write_costs(
    slides: Slides, strategies: Path, pull_speed: Path, settings: Mapping[str, Any], path: Path
) -> None:
    """Write table `costs`.

    strategies: table `build_strategies`. pull_speed: the query of this name. settings: the keys of
    the config below `cost`.
    """
    rows = list(_publish(slides))
    workloads = [example.right for example in slides.examples] + read_sets(strategies)
    speeds = (*slides.speeds, *(read_speeds(pull_speed) or assume_speeds(settings)))
    price = settings["dollars_per_node_hour"]
    clusters = [Cluster(nodes, price) for nodes in settings["cluster_sizes"]]
    rows += [cost_of(*each) for each in itertools.product(workloads, speeds, clusters)]
    columns = [column.name for column in TABLES["costs"].columns]
    write_table("costs", path, {name: [row[name] for row in rows] for name in columns})


def read_sets(strategies: Path) -> list[Workload]:
    """Read the real container sets from table `build_strategies`: what their images do share."""
    return [
        Workload(
            row["set_name"],
            row["images"],
            row["digests"],
            row["image_layers"],
            row["distinct_bytes"],
            row["image_bytes"],
        )
        for row in pq.read_table(strategies).to_pylist()
    ]


def read_speeds(pull_speed: Path) -> list[Speed]:
    """Read the speeds that were measured; none when no pull of a real image was."""
    return [
        Speed(name, "measured", row[f"{name}_megabytes_per_second"])
        for row in pq.read_table(pull_speed).to_pylist()
        for name in _MEASURED
    ]


def assume_speeds(settings: Mapping[str, Any]) -> list[Speed]:
    """Take the speeds of the config, for studies that measured none."""
    low, high = settings["megabytes_per_second"]
    return [Speed("slow", "assumed", low), Speed("fast", "assumed", high)]


def _publish(slides: Slides) -> Iterator[dict[str, Any]]:
    for example in slides.examples:
        for speed in slides.speeds:
            yield cost_as_published(
                example.as_published, speed, slides.cluster, example.unit_seconds
            )
