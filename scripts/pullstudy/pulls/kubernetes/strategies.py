"""Strategies: the ways in which an image reaches a node, as files in `resources/kubernetes`.

A strategy may need something in the cluster (`install`), other images (`tag_suffix`), certain
nodes (`node_selector`), or another pod (`pod`, `mounts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from pullstudy.errors import ConfigError
from pullstudy.naming import parse_reference
from pullstudy.schemas import read_yaml

RESOURCES = Path(__file__).resolve().parents[4] / "resources" / "kubernetes"
_FOLDER = RESOURCES / "strategies"


class Strategy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One strategy.

    install: manifest files below `resources/kubernetes`, applied before a run and deleted after
    it. uninstall: manifests that undo on each node what those did. tag_suffix: of the images that
    were made for this strategy. registry: instead of the images' own. node_selector: which nodes
    have it. is_prepulled: each node pulls the image before the pods come. pod: laid over the pod's
    spec. mounts: volume mounts of the container. is_lazy: what is pulled is not all that is read.
    """

    description: str
    install: tuple[str, ...] = ()
    uninstall: tuple[str, ...] = ()
    tag_suffix: str = ""
    registry: str = ""
    node_selector: Mapping[str, str] = {}
    is_prepulled: bool = False
    is_lazy: bool = False
    pod: Mapping[str, Any] = {}
    mounts: tuple[Mapping[str, Any], ...] = ()

    def name_image(self, reference: str) -> str:
        """Name what is pulled for an image: the same one in this strategy's format and place."""
        if not self.tag_suffix and not self.registry:
            return reference
        parsed = parse_reference(reference)
        if self.tag_suffix:
            parsed = replace(parsed, tag=f"{parsed.tag or 'latest'}{self.tag_suffix}", digest=None)
        return str(replace(parsed, registry=self.registry or parsed.registry))


def list_strategies() -> tuple[str, ...]:
    """Name all strategies."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_strategy(name: str) -> Strategy:
    """Read a strategy. Raises ConfigError when its file is wrong or missing."""
    path = _FOLDER / f"{name}.yaml"
    try:
        return msgspec.convert(read_yaml(path), Strategy)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}; choose of {list_strategies()}") from exc
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
