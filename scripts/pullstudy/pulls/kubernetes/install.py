"""Put into a cluster what a strategy needs, see that it works, and take it out again.

The manifests can be applied with `kubectl apply -f` as well: nothing here is needed for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from pullstudy.errors import ConfigError
from pullstudy.pulls.kubernetes.connect import Api
from pullstudy.pulls.kubernetes.nodes import list_nodes
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.rollout import wait_for_daemon_set
from pullstudy.pulls.kubernetes.strategies import RESOURCES, Strategy

_INSTALL_SECONDS = 600.0


@contextlib.contextmanager
def install_strategy(api: Api, strategy: Strategy, options: Options) -> Iterator[None]:
    """Apply a strategy's manifests, wait until its DaemonSets are healthy; delete them at the end.

    Raises ClusterError when a node does not get there, ConfigError for a manifest that is none.
    """
    manifests = [manifest for name in strategy.install for manifest in read_manifests(name)]
    try:
        for manifest in manifests:
            api.apply(manifest)
        for manifest in manifests:
            if manifest["kind"] == "DaemonSet":
                _wait_healthy(api, manifest, options)
        yield
    finally:
        for manifest in reversed(manifests):
            api.delete(manifest)


def read_manifests(name: str) -> list[dict[str, Any]]:
    """Read the documents of a file below `resources/kubernetes`."""
    path = RESOURCES / name
    try:
        return [each for each in yaml.safe_load_all(path.read_text()) if each]
    except (OSError, yaml.YAMLError) as exc:
        raise ConfigError(f"{path}: {' '.join(str(exc).split())}") from exc


def _wait_healthy(api: Api, manifest: dict[str, Any], options: Options) -> None:
    pod = manifest["spec"]["template"]["spec"]
    selector = dict(options.node_selector) | dict(pod.get("nodeSelector", {}))
    nodes = list_nodes(api, selector, pod.get("tolerations", ()))
    ready = [facts.name for facts in nodes if facts.why_not is None]
    wait_for_daemon_set(api, manifest, ready, _INSTALL_SECONDS)
