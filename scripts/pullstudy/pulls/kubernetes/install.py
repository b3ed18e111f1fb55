"""Put into a cluster what a strategy needs, see that it works, and take it out again.

The manifests can be applied with `kubectl apply -f` as well: nothing here is needed for them, but
that the image of the installers is put in.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import yaml

from pullstudy.errors import ConfigError
from pullstudy.pulls.kubernetes.connect import Api, ClusterError
from pullstudy.pulls.kubernetes.credentials import Manifest, make_secrets
from pullstudy.pulls.kubernetes.nodes import list_nodes
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.rollout import wait_for_daemon_set, wait_gone
from pullstudy.pulls.kubernetes.strategies import RESOURCES, Strategy

_INSTALL_SECONDS = 600.0
_PAUSE_SECONDS = 0.5
# What the manifests of the installers name instead of an image.
_PLACEHOLDER = "pullstudy-snapshotter"


@contextlib.contextmanager
def install_strategy(
    api: Api, strategy: Strategy, namespace: str, options: Options
) -> Iterator[None]:
    """Apply a strategy's manifests and wait until all is healthy; undo it at the end.

    namespace: the study's, where its secrets are. Raises ClusterError when a node does not get
    there or a secret is missing, ConfigError for a manifest that is none.
    """
    manifests = _read_all(strategy.install, options)
    wanted = _with_secrets(api, manifests, namespace, options)
    try:
        _apply(api, wanted, options)
        yield
    finally:
        remove_strategy(api, strategy, namespace, options)


def remove_strategy(api: Api, strategy: Strategy, namespace: str, options: Options) -> None:
    """Take away what a strategy installs, also from the nodes; nothing may be there."""
    # The copies of secrets go with their namespaces.
    _delete(api, _read_all(strategy.install, options))
    if strategy.uninstall:
        undoing = _read_all(strategy.uninstall, options)
        _apply(api, _with_secrets(api, undoing, namespace, options), options)
        _delete(api, undoing)


def read_manifests(name: str, options: Options) -> list[Manifest]:
    """Read the documents of a file below `resources/kubernetes`, with the installers' image in.

    Raises ConfigError.
    """
    path = RESOURCES / name
    try:
        text = path.read_text()
        if f"image: {_PLACEHOLDER}" in text:
            if options.snapshotter_image is None:
                raise ConfigError(
                    "key 'options.snapshotter_image' is missing: the image of "
                    f"{RESOURCES / 'snapshotter/Dockerfile'}, as nodes find it"
                )
            text = text.replace(f"image: {_PLACEHOLDER}", f"image: {options.snapshotter_image}")
        return [each for each in yaml.safe_load_all(text) if each]
    except (OSError, yaml.YAMLError) as exc:
        raise ConfigError(f"{path}: {' '.join(str(exc).split())}") from exc


def _read_all(names: Sequence[str], options: Options) -> list[Manifest]:
    return [each for name in names for each in read_manifests(name, options)]


def _with_secrets(
    api: Api, manifests: list[Manifest], namespace: str, options: Options
) -> list[Manifest]:
    """Put the secrets that the manifests name behind the namespaces for these."""
    secrets = make_secrets(api, manifests, namespace, options)
    places = [each for each in manifests if each["kind"] == "Namespace"]
    return [*places, *secrets, *(each for each in manifests if each not in places)]


def _apply(api: Api, manifests: list[Manifest], options: Options) -> None:
    for manifest in manifests:
        api.apply(manifest)
    for manifest in manifests:
        if manifest["kind"] == "DaemonSet":
            _wait_for_daemon_set(api, manifest, options)
        elif manifest["kind"] == "Deployment":
            _wait_for_deployment(api, manifest)


def _delete(api: Api, manifests: list[Manifest]) -> None:
    for manifest in reversed(manifests):
        api.delete(manifest)
    for manifest in manifests:
        if manifest["kind"] == "Namespace":
            wait_gone(api, manifest, _INSTALL_SECONDS)


def _wait_for_daemon_set(api: Api, manifest: Manifest, options: Options) -> None:
    pod = manifest["spec"]["template"]["spec"]
    selector = dict(options.node_selector) | dict(pod.get("nodeSelector", {}))
    nodes = list_nodes(api, selector, pod.get("tolerations", ()))
    ready = [facts.name for facts in nodes if facts.why_not is None]
    wait_for_daemon_set(api, manifest, ready, _INSTALL_SECONDS)


def _wait_for_deployment(api: Api, manifest: Manifest) -> None:
    end = time.monotonic() + _INSTALL_SECONDS
    while not ((api.read(manifest) or {}).get("status", {}).get("readyReplicas")):
        if time.monotonic() > end:
            metadata = manifest["metadata"]
            raise ClusterError(
                f"{api.host}: Deployment {metadata['namespace']}/{metadata['name']} is not ready; "
                "see its pods"
            )
        time.sleep(_PAUSE_SECONDS)
