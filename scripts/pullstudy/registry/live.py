"""A harvest as a step of a study: the names from a query, the settings from the config."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from pullstudy.files import replace_atomically
from pullstudy.registry.display import Display
from pullstudy.registry.harvest import harvest
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings, check_endpoint
from pullstudy.registry.platforms import parse_platform


def harvest_named(names: Path, folder: Path, cache: Path, options: Mapping[str, Any]) -> str:
    """Harvest the repositories in the column `name` of a Parquet file; returns a summary.

    options: the keys of the config below `registry`. folder: takes tables and the state from which
    a stopped harvest goes on. Raises RegistryError or ConfigError.
    """
    wanted = pq.read_table(names, columns=["name"])["name"].to_pylist()
    chosen = wanted[: options["max_repositories"]]
    display = Display(Console(stderr=True))
    return str(harvest(chosen, folder, cache, make_settings(options), display))


def make_settings(options: Mapping[str, Any]) -> HarvestSettings:
    """Turn the keys of the config below `registry` into settings. Raises ConfigError."""
    rate = options["requests_per_second"] or math.inf
    return HarvestSettings(
        platforms=tuple(dict.fromkeys(map(parse_platform, options["platforms"]))),
        tags_max=options["max_tags"],
        endpoints={name: check_endpoint(url) for name, url in options["mirrors"].items()},
        limits={"*": Limits(options["concurrency"], rate)},
    )


def copy_tables(tables: Iterable[Path], folder: Path) -> None:
    """Copy tables that were made before to where a study looks for them, each atomically."""
    for table in tables:
        with replace_atomically(folder / table.name) as partial:
            shutil.copyfile(table, partial)
