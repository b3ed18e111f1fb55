"""The backends that measure pulls, by name."""

from __future__ import annotations

import importlib
from typing import cast

from pullstudy.errors import ConfigError
from pullstudy.pulls.backend import Backend

# Each module and class is loaded when it is asked for: clients of engines take their time.
_BACKENDS = {
    "embedded": ("pullstudy.pulls.embedded", "Embedded"),
    "docker": ("pullstudy.pulls.docker_engine", "Docker"),
    "containerd": ("pullstudy.pulls.containerd", "Containerd"),
    "kubernetes": ("pullstudy.pulls.kubernetes.backend", "Kubernetes"),
}
NAMES = tuple(_BACKENDS)


def load_backend(name: str) -> Backend:
    """Return a backend. Raises ConfigError when there is none of this name."""
    if name not in _BACKENDS:
        raise ConfigError(f"backend {name!r}: choose one of {', '.join(NAMES)}")
    module, kind = _BACKENDS[name]
    return cast("Backend", getattr(importlib.import_module(module), kind)())
