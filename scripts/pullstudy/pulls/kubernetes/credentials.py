"""Credentials of registries for what a strategy installs: copies of the study's own secrets.

A snapshotter asks registries by itself, in the kubelet's place, so the secrets of pods do not reach
it. Its manifests name one secret, which may be missing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pullstudy.pulls.kubernetes.connect import Api, ClusterError
from pullstudy.pulls.kubernetes.options import Options

Manifest = dict[str, Any]

# What the manifests of the installers name.
SECRET = "registry-credentials"
_TYPE = "kubernetes.io/dockerconfigjson"
_KEY = ".dockerconfigjson"


def make_secrets(
    api: Api, manifests: Sequence[Manifest], namespace: str, options: Options
) -> list[Manifest]:
    """Make the secret that some of the manifests name, of `options.pull_secrets` in `namespace`.

    Raises ClusterError when one of these is missing or holds no credentials of registries.
    """
    places = list(dict.fromkeys(_find_places(manifests)))
    if not (places and options.pull_secrets):
        return []
    auths: dict[str, Any] = {}
    for name in options.pull_secrets:
        # Docker and the kubelet take the first that fits.
        auths = _read_auths(api, namespace, name) | auths
    data = base64.b64encode(msgspec.json.encode({"auths": auths})).decode()
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": place},
            "type": _TYPE,
            "data": {_KEY: data},
        }
        for place in places
    ]


def _find_places(manifests: Sequence[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
        if {"name": SECRET} in pod.get("imagePullSecrets", ()):
            yield manifest["metadata"]["namespace"]


def _read_auths(api: Api, namespace: str, name: str) -> dict[str, Any]:
    about = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
    }
    found = api.read(about)
    try:
        text = base64.b64decode((found or {})["data"][_KEY])
        auths: dict[str, Any] = msgspec.json.decode(text)["auths"]
    except (KeyError, TypeError, ValueError, msgspec.DecodeError):
        why = "is missing" if found is None else f"holds no {_KEY} with auths"
        raise ClusterError(
            f"{api.host}: secret {namespace}/{name} {why}; "
            "make it with: kubectl create secret docker-registry"
        ) from None
    return auths
