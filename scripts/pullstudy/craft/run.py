"""From a study file to its images: what the command and the pipeline call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pullstudy.craft.base import BaseImage, find_base
from pullstudy.craft.build import CraftedImage, Reporter, craft_images
from pullstudy.craft.engine_output import EngineOutput
from pullstudy.craft.journal import Journal, default_journal_path
from pullstudy.craft.output import LayoutOutput, Output
from pullstudy.craft.plan import Plan, plan_study
from pullstudy.craft.registry_output import RegistryOutput
from pullstudy.craft.study import ALONE, Study, StudyError, Surroundings, load_study
from pullstudy.craft.tabulate import write_crafted
from pullstudy.errors import ConfigError, CraftError
from pullstudy.naming import parse_reference
from pullstudy.registry.credentials import read_docker_config
from pullstudy.registry.push import CHUNK_BYTES, RepositoryPusher

PUSH, DOCKER, LAYOUT_PREFIX = "push", "docker", "oci:"
# An engine needs some name even where nothing will be pushed.
_LOCAL_NAME = "pullstudy"


@dataclass(frozen=True)
class CraftSettings:
    """How a study is crafted.

    output: `push`, `docker` or `oci:DIR`. around: what the study file is read with. beyond_limits:
    make also what Docker or registries refuse. chunk_bytes: of an upload; 0 sends whole layers.
    layers_at_once: uploads side by side, as many as Docker's. journal: file that remembers pushes.
    """

    output: str
    around: Surroundings = ALONE
    beyond_limits: bool = False
    plain_http: bool = False
    chunk_bytes: int = CHUNK_BYTES
    layers_at_once: int = 5
    journal: Path | None = None


def plan_file(
    path: Path,
    around: Surroundings = ALONE,
    *,
    beyond_limits: bool = False,
    plain_http: bool = False,
) -> tuple[Plan, BaseImage]:
    """Read and plan a study file; a base image is looked up. Raises PullstudyError."""
    study = load_study(path, around)
    base = BaseImage()
    if study.base:
        base = find_base(study.base, study.architecture, plain_http=plain_http)
    try:
        return plan_study(study, base.blobs, beyond_limits=beyond_limits), base
    except (CraftError, StudyError) as exc:
        raise StudyError(f"{path}: {exc}") from exc


def craft_study(
    path: Path,
    settings: CraftSettings,
    table: Path | None = None,
    reporter: Reporter | None = None,
) -> list[CraftedImage]:
    """Make the images of a study file and write the table `crafted_images`.

    Images that are there already, by the same recipe, are not made again. Raises PullstudyError,
    also when not one of them can be made.
    """
    plan, base = plan_file(
        path,
        settings.around,
        beyond_limits=settings.beyond_limits,
        plain_http=settings.plain_http,
    )
    if not plan.images:
        first, others = plan.skipped[0], len(plan.skipped) - 1
        also = f", and {others} more are skipped" if others else ""
        raise CraftError(f"{path}: nothing to make: {first.cell.tag}: {first.reason}{also}")
    crafted = craft_images(plan, open_output(plan.study, settings), base, reporter or Reporter())
    if table:
        write_crafted(table, [(plan.study, crafted)])
    return crafted


def open_output(study: Study, settings: CraftSettings) -> Output:
    """Open where the images of a study go. Raises PullstudyError."""
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
