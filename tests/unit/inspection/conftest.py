"""Images as manifests and configs, without a registry."""

from __future__ import annotations

import hashlib
from typing import Any

from pullstudy.inspection.documents import (
    ConfigDescriptor,
    HistoryEntry,
    ImageConfig,
    ImageManifest,
    LayerDescriptor,
    RootFs,
    RunSettings,
)
from pullstudy.inspection.reading import ReadImage
from pullstudy.naming import parse_reference
from pullstudy.registry.platforms import Platform

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
AMD64 = Platform("linux", "amd64")
Step = tuple[str, int]


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def make_image(
    *steps: Step,
    name: str = "team/app:1.0",
    media_type: str = GZIP,
    run: RunSettings | None = None,
    created: str = "2024-11-21T10:00:00Z",
    architecture: str = "amd64",
    **manifest: Any,
) -> ReadImage:
    """Make an image of steps: the command, and the bytes of its layer (below 0: no layer)."""
    made = [step for step in steps if step[1] >= 0]
    layers = [LayerDescriptor(digest(f"{c} {n}"), n, media_type) for c, n in made]
    history = [HistoryEntry(c, None, size < 0) for c, size in steps]
    config = ImageConfig(
        "linux", architecture, None, created, None, run or RunSettings(), history,
        RootFs([digest(f"unpacked {c} {n}") for c, n in made]),
    )  # fmt: skip
    document = ImageManifest(ConfigDescriptor(digest("config")), layers, **manifest)
    return ReadImage(
        name, parse_reference(name), AMD64, "image", digest("m"), 500,
        manifest=document, config=config,
    )  # fmt: skip
