"""Pull studies: which images are pulled by how many nodes, how, from where and how often.

All keys, with their meaning, are in `workflow/schemas/pulls.schema.json`. A study has one or more
runs; what a run does not say, the study says for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from pullstudy.errors import ConfigError, InvalidReference
from pullstudy.naming import parse_reference
from pullstudy.pulls.images import PulledImage, read_images
from pullstudy.registry.plan import check_endpoint
from pullstudy.registry.platforms import parse_platform
from pullstudy.schemas import check_document, read_yaml

SCHEMA_PATH = Path(__file__).resolve().parents[3] / "workflow" / "schemas" / "pulls.schema.json"
PLAIN = "plain"


class PullStudyError(ConfigError):
    """A pull study is wrong; the message names the file and the key."""


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where images come from.

    mirror: base URL that is asked instead of the registry in a reference. serve: OCI layout that
    the embedded registry serves while the study runs; it is the mirror then. latency_seconds: what
    each request has to wait, in addition to what the network takes.
    """

    plain_http: bool = False
    mirror: str | None = None
    serve: str | None = None
    latency_seconds: float = 0.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is held to; None: nothing.

    layers_at_once: downloads of one pull under way together. attempts: requests for one blob that
    end in a temporary failure before the pull fails. stall_seconds: without a byte until a request
    counts as failed. timeout_seconds: of a whole pull.
    """

    bandwidth_mbit_per_second: float | None = None
    disk_mb_per_second: float | None = None
    disk_operations_per_second: int | None = None
    layers_at_once: int = 3
    attempts: int = 3
    stall_seconds: float = 60.0
    timeout_seconds: float = 3600.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: everything but how many nodes, which strategy and which image is the same in it.

    machine: provider and machine type for the column `platform`; None: this machine.
    platform: of a multi-platform image. endpoints: sockets or addresses of the engines that are
    the nodes; empty: the backend's own. start: a container is started too. options: what only one
    backend understands.
    """

    name: str
    images: tuple[PulledImage, ...]
    strategies: tuple[str, ...] = (PLAIN,)
    cluster_sizes: tuple[int, ...] = (1,)
    registry: RegistrySettings = RegistrySettings()
    limits: Limits = Limits()
    machine: str | None = None
    platform: str = "linux/amd64"
    endpoints: tuple[str, ...] = ()
    start: bool = False
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)


class PullStudy(msgspec.Struct, frozen=True, kw_only=True):
    """A study as read, with all defaults filled in."""

    name: str
    runs: tuple[Run, ...]
    repetitions: int = 1
    seed: int = 0


class _Files(NamedTuple):
    """Where files are that a study names."""

    folder: Path
    by_name: Mapping[str, Path]

    def find(self, name: str) -> Path:
        return self.by_name.get(name, self.folder / name)


def load_pull_study(path: Path, files: Mapping[str, Path] = MappingProxyType({})) -> PullStudy:
    """Read a pull study; files: what its `table`, `craft` and `serve` may name by a word.

    Raises PullStudyError with the file and the key.
    """
    try:
        document = read_yaml(path)
        check_document(document, SCHEMA_PATH, "study")
        return _build_study(document, _Files(path.parent, files))
    except (ConfigError, InvalidReference) as exc:
        text = str(exc).removeprefix(f"{path}: ").removeprefix("study: ")
        raise PullStudyError(f"{path}: {text}") from exc
    except OSError as exc:
        raise PullStudyError(f"{path}: {exc.strerror}; give a pull study") from exc
    except UnicodeDecodeError as exc:
        raise PullStudyError(f"{path}: not text in UTF-8; give a pull study") from exc


def _build_study(document: dict[str, Any], files: _Files) -> PullStudy:
    shared = {
        k: v for k, v in document.items() if k not in ("study", "seed", "repetitions", "runs")
    }
    written = document.get("runs") or [{"run": "run1"}]
    runs = tuple(
        _build_run(_overlay(shared, run), f"runs.{n}." if "runs" in document else "", files)
        for n, run in enumerate(written)
    )
    names = [run.name for run in runs]
    for n, name in enumerate(names):
        if name in names[:n]:
            raise PullStudyError(f"key 'runs.{n}.run': {name!r} stands twice")
    return PullStudy(
        name=document["study"],
        runs=runs,
        repetitions=document.get("repetitions", 1),
        seed=document.get("seed", 0),
    )


def _overlay(shared: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a run over what holds for all runs; of mappings single keys are replaced."""
    merged = dict(shared)
    for key, value in run.items():
        below = merged.get(key)
        is_merged = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = below | value if is_merged else value
    return merged


def _build_run(document: dict[str, Any], where: str, files: _Files) -> Run:
    if "images" not in document:
        raise PullStudyError(f"key '{where}images' is missing: it names what is pulled")
    try:
        parse_platform(document.get("platform", "linux/amd64"))
    except ConfigError as exc:
        raise PullStudyError(f"key '{where}platform': {exc}") from exc
    nodes = document.get("nodes", 1)
    fields = {
        key: document[key] for key in ("machine", "platform", "start", "options") if key in document
    }
    return Run(
        name=document["run"],
        images=_find_images(document["images"], f"{where}images", files),
        strategies=tuple(dict.fromkeys(document.get("strategies", (PLAIN,)))),
        cluster_sizes=tuple(dict.fromkeys(nodes if isinstance(nodes, list) else [nodes])),
        registry=_build_registry(document.get("registry", {}), f"{where}registry", files),
        limits=Limits(**document.get("limits", {})),
        endpoints=tuple(document.get("endpoints", ())),
        **fields,
    )


def _find_images(entries: Sequence[Any], where: str, files: _Files) -> tuple[PulledImage, ...]:
    found: dict[str, PulledImage] = {}
    for n, entry in enumerate(entries):
        try:
            for image in read_images(entry, files.find):
                parse_reference(image.reference)
                found.setdefault(image.reference, image)
        except (ConfigError, InvalidReference) as exc:
            raise PullStudyError(f"key '{where}.{n}': {exc}") from exc
    if not found:
        raise PullStudyError(f"key '{where}': no image in it")
    return tuple(found.values())


def _build_registry(document: dict[str, Any], where: str, files: _Files) -> RegistrySettings:
    if "mirror" in document and "serve" in document:
        raise PullStudyError(f"key '{where}': give mirror or serve, not both")
    fields = dict(document)
    if "serve" in fields:
        layout = files.find(fields["serve"].removeprefix("oci:"))
        if not (layout / "index.json").is_file():
            raise PullStudyError(f"key '{where}.serve': {layout}: there is no OCI image layout")
        fields["serve"] = str(layout)
    if "mirror" in fields:
        try:
            fields["mirror"] = check_endpoint(fields["mirror"])
        except ConfigError as exc:
            raise PullStudyError(f"key '{where}.mirror': {exc}") from exc
    return RegistrySettings(**fields)
