"""Crafting as a stage of the pipeline: several study files, one registry, one table.

The images of a study file have a repository of their own, `<repository>-<name of the file>`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pullstudy.craft.base import BaseImage
from pullstudy.craft.build import CraftedImage, Reporter, craft_images
from pullstudy.craft.plan import Plan
from pullstudy.craft.run import PUSH, CraftSettings, open_output, plan_file
from pullstudy.craft.study import EmptyTable, Surroundings
from pullstudy.craft.tabulate import write_crafted, write_planned
from pullstudy.errors import ConfigError
from pullstudy.registry.server import serve_layout


class CraftStage:
    """The study files of a pipeline's config.

    options: the section `craft` of the config. tables: files that `from` in a study file may name.
    """

    def __init__(self, options: Mapping[str, Any], tables: Sequence[Path | str], seed: int) -> None:
        """Raises ConfigError when two study files have the same name."""
        self._paths = [Path(path) for path in options["studies"]]
        self._repository = options["repository"]
        self._beyond_limits = options["beyond_limits"]
        by_name = {path.name: path for path in map(Path, tables)}
        self._around = Surroundings(None, by_name, options["scale"], seed)
        name, count = Counter(path.stem for path in self._paths).most_common(1)[0]
        if count > 1:
            raise ConfigError(f"key 'craft.studies': {count} files are named {name!r}; rename one")

    def plan(self, table: Path) -> None:
        """Lay out all images and write the table `planned_images`."""
        write_planned(table, [plan for plan, _ in self._plans()])

    def craft_into_layout(self, layout: Path, table: Path) -> list[CraftedImage]:
        """Push all images to an embedded registry over `layout`, and write `crafted_images`.

        Names in the table have no host: whoever serves the layout chooses one.
        """
        # The layout tells what is there already; a journal need not outlive its registry.
        with tempfile.TemporaryDirectory() as folder, serve_layout(layout) as address:
            return self._craft(f"{address}/", Path(folder) / "journal.jsonl", table)

    def craft_into_registry(self, journal: Path, table: Path) -> list[CraftedImage]:
        """Push all images to the configured registry, and write the table `crafted_images`."""
        return self._craft("", journal, table)

    def _craft(self, host: str, journal: Path, table: Path) -> list[CraftedImage]:
        made = []
        for plan, base in self._plans():
            settings = CraftSettings(PUSH, journal=journal)
            output = open_output(replace(plan.study, uri=f"{host}{plan.study.uri}"), settings)
            made.append((plan.study, craft_images(plan, output, base, Reporter())))
        write_crafted(table, made)
        return [image for _, images in made for image in images]

    def _plans(self) -> list[tuple[Plan, BaseImage]]:
        found = []
        for path in self._paths:
            try:
                plan, base = plan_file(path, self._around, beyond_limits=self._beyond_limits)
            except EmptyTable as exc:
                # A study may lack a part of the data, as a partial archive does.
                print(f"pullstudy: {exc}; none of its images is planned", file=sys.stderr)
                continue
            named = replace(plan.study, uri=f"{self._repository}-{plan.study.name}")
            found.append((replace(plan, study=named), base))
        return found
