"""From a study file to its images: what the command and the pipeline call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pullstudy.craft.base import BaseImage, find_base
from pullstudy.craft.build import CraftedImage, Reporter, craft_images
from pullstudy.craft.engine_output import EngineOutput
from pullstudy.craft.journal import Journal, default_journal_path
from pullstudy.craft.output import LayoutOutput, Output
from pullstudy.craft.plan import Cell, Plan, plan_study
from pullstudy.craft.registry_output import RegistryOutput
from pullstudy.craft.study import Study, StudyError, load_study
from pullstudy.errors import ConfigError
from pullstudy.naming import parse_reference
from pullstudy.registry.credentials import read_docker_config
from pullstudy.registry.push import CHUNK_BYTES, RepositoryPusher
from pullstudy.tables import write_table

PUSH, DOCKER, LAYOUT_PREFIX = "push", "docker", "oci:"
# An engine needs some name even where nothing will be pushed.
_LOCAL_NAME = "pullstudy"


@dataclass(frozen=True)
class CraftSettings:
    """How a study is crafted.

    output: `push`, `docker` or `oci:DIR`. uri: replaces that of the study file. beyond_limits: make
    also what Docker or registries refuse. chunk_bytes: of an upload; 0 sends whole layers.
    layers_at_once: uploads side by side. journal: file that remembers pushes.
    """

    output: str
    uri: str | None = None
    beyond_limits: bool = False
    plain_http: bool = False
    chunk_bytes: int = CHUNK_BYTES
    layers_at_once: int = 3
    journal: Path | None = None


def plan_file(
    path: Path, uri: str | None = None, *, beyond_limits: bool = False, plain_http: bool = False
) -> tuple[Plan, BaseImage]:
    """Read and plan a study file; a base image is looked up. Raises PullstudyError."""
    study = load_study(path, uri)
    base = BaseImage()
    if study.base:
        base = find_base(study.base, study.architecture, plain_http=plain_http)
    return plan_study(study, base.blobs, beyond_limits=beyond_limits), base


def craft_study(
    path: Path,
    settings: CraftSettings,
    table: Path | None = None,
    reporter: Reporter | None = None,
) -> list[CraftedImage]:
    """Make the images of a study file and write the table `crafted_images`.

    Images that are there already, by the same recipe, are not made again. Raises PullstudyError.
    """
    plan, base = plan_file(
        path, settings.uri, beyond_limits=settings.beyond_limits, plain_http=settings.plain_http
    )
    crafted = craft_images(plan, _open_output(plan.study, settings), base, reporter or Reporter())
    if table:
        write_crafted(table, plan.study, crafted)
    return crafted


def _open_output(study: Study, settings: CraftSettings) -> Output:
    if settings.output.startswith(LAYOUT_PREFIX):
        return LayoutOutput(Path(settings.output.removeprefix(LAYOUT_PREFIX)))
    if settings.output == DOCKER:
        return EngineOutput(study.uri or _LOCAL_NAME)
    if settings.output == PUSH:
        return _open_registry(study, settings)
    raise ConfigError(f"output {settings.output!r}: choose oci:DIR or docker")


def _open_registry(study: Study, settings: CraftSettings) -> RegistryOutput:
    if study.uri is None:
        raise StudyError("key 'uri' is missing: it names the repository to push to")
    reference = parse_reference(study.uri)
    pusher = RepositoryPusher(
        reference.registry,
        reference.repository,
        read_docker_config().find(reference.registry),
        plain_http=settings.plain_http,
        chunk_bytes=settings.chunk_bytes,
    )
    journal = Journal(settings.journal or default_journal_path())
    return RegistryOutput(pusher, journal, settings.layers_at_once)


def write_crafted(path: Path, study: Study, crafted: Sequence[CraftedImage]) -> None:
    """Write the table `crafted_images`."""
    cells = [image.planned.cell for image in crafted]
    same = {
        "size_of": "compressed" if study.is_compressed else "uncompressed",
        "shared_layer_count": study.shared_layers,
        "compression": study.compression_name,
        "content": study.content_name,
        "files_per_layer": study.files_per_layer,
        "base": study.base,
        "reads_share": study.reads_share,
        "platform": study.platform,
        "seed": study.seed,
    }
    columns = {
        "name": [name_image(study, cell) for cell in cells],
        "tag": [cell.tag for cell in cells],
        "copy": [cell.copy for cell in cells],
        "percentile": [cell.size.percentile for cell in cells],
        "target_bytes": [cell.size.total_bytes for cell in cells],
        "compressed_bytes": [image.compressed_bytes for image in crafted],
        "uncompressed_bytes": [image.uncompressed_bytes for image in crafted],
        "layer_count": [image.layer_count for image in crafted],
        "digest": [image.digest for image in crafted],
    }
    repeated = {name: [value] * len(crafted) for name, value in same.items()}
    write_table("crafted_images", path, columns | repeated)


def write_planned(path: Path, plan: Plan) -> None:
    """Write the table `planned_images`: those to be made, then those to be skipped."""
    made, skipped = plan.images, plan.skipped
    cells = [*(image.cell for image in made), *(image.cell for image in skipped)]
    nothing = [None] * len(skipped)
    columns = {
        "name": [name_image(plan.study, cell) for cell in cells],
        "percentile": [cell.size.percentile for cell in cells],
        "target_bytes": [cell.size.total_bytes for cell in cells],
        "layer_count": [cell.layer_count for cell in cells],
        "compressed_bytes": [*(image.compressed_bytes for image in made), *nothing],
        "uncompressed_bytes": [*(image.uncompressed_bytes for image in made), *nothing],
        "compression": [plan.study.compression_name] * len(cells),
        "content": [plan.study.content_name] * len(cells),
        "skipped_because": [*([None] * len(made)), *(image.reason for image in skipped)],
    }
    write_table("planned_images", path, columns)


def name_image(study: Study, cell: Cell) -> str:
    """Return `repository:tag`, or the tag where there is no repository."""
    return f"{study.uri}:{cell.tag}" if study.uri else cell.tag
