"""The sample's registry: filled with made-up repositories, served on loopback, harvested."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pullstudy.files import make_scratch
from pullstudy.naming import parse_reference
from pullstudy.registry.harvest import harvest
from pullstudy.registry.layout import ImageLayout
from pullstudy.registry.live import copy_tables
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.server import serve_layout
from pullstudy.sample.coverage import write_coverage
from pullstudy.sample.draw import read_ecosystem
from pullstudy.sample.registry import SampleRepository, draw_repositories


def write_registry(ecosystem: Path, count: int, seed: int, folder: Path) -> None:
    """Harvest `count` made-up repositories from an embedded registry into the stage `registry`."""
    repositories = list(draw_repositories(read_ecosystem(ecosystem), count, seed))
    # Nothing of an earlier harvest may be taken for this one's: it starts in an empty folder.
    with make_scratch(folder / ".harvest") as raw:
        tables = _harvest(repositories, raw)
        write_coverage(tables / "coverage.parquet", ("registry", "subset"), count)
        copy_tables(sorted(tables.glob("*.parquet")), folder)


def _harvest(repositories: Sequence[SampleRepository], raw: Path) -> Path:
    fill_layout(repositories, raw / "layout")
    tables = raw / "tables"
    with serve_layout(raw / "layout") as address:
        settings = HarvestSettings(endpoints={"*": f"http://{address}"})
        harvest([repository.name for repository in repositories], tables, raw / "cache", settings)
    return tables


def fill_layout(repositories: Iterable[SampleRepository], root: Path) -> None:
    """Write repositories to an image layout, as a registry would hold them; layers are left out."""
    layout = ImageLayout(root)
    for repository in repositories:
        path = parse_reference(repository.name).repository
        for digest, config in repository.configs.items():
            layout.add_blob(path, digest, config)
        for digest, manifest in repository.manifests.items():
            layout.add_manifest(path, digest, repository.media_type(digest), manifest)
        for tag, digest in repository.tags.items():
            layout.set_tag(path, tag, digest)
    layout.save()
