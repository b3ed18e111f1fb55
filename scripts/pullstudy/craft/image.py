"""The documents of an image: its config and its manifest, always the same bytes for one plan.

Formats: OCI image specification 1.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pullstudy.craft.base import BaseImage
from pullstudy.craft.plan import PROGRAM_PATH, PlannedImage
from pullstudy.craft.stream import Blob
from pullstudy.craft.study import Study
from pullstudy.registry.cache import digest_of

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
# Crafted images carry no time, so that their digests do not.
_EPOCH = "1970-01-01T00:00:00Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RECIPE_ANNOTATION = "pullstudy.recipe"
UNCOMPRESSED_ANNOTATION = "pullstudy.uncompressed-bytes"


@dataclass(frozen=True)
class ImageDocuments:
    """Config and manifest of one image."""

    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """Digest of the manifest."""
        return digest_of(self.manifest)


def describe_recipe(image: PlannedImage, study: Study) -> str:
    """Name an image by all that its bytes depend on, before they exist."""
    parts = (
        *(study.platform, study.has_entrypoint, study.content_name),
        *(blob.digest for blob in image.base),
        *(layer.recipe for layer in image.layers),
    )
    return f"sha256:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def build_documents(
    image: PlannedImage, study: Study, base: BaseImage, blobs: Sequence[Blob]
) -> ImageDocuments:
    """Write config and manifest; `blobs` are the finished crafted layers, lowest first."""
    config = orjson.dumps(_build_config(study, base, blobs), option=orjson.OPT_SORT_KEYS)
    annotations = {RECIPE_ANNOTATION: describe_recipe(image, study)}
    if not base.blobs:
        annotations[UNCOMPRESSED_ANNOTATION] = str(sum(blob.uncompressed_bytes for blob in blobs))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": _CONFIG_TYPE,
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": [_describe(blob) for blob in (*base.blobs, *blobs)],
        "annotations": annotations,
    }
    return ImageDocuments(config, orjson.dumps(manifest))


def _describe(blob: Blob) -> dict[str, Any]:
    descriptor: dict[str, Any] = {
        "mediaType": blob.media_type,
        "digest": blob.digest,
        "size": blob.size_bytes,
    }
    if blob.annotations:
        descriptor["annotations"] = blob.annotations
    return descriptor


def _build_config(study: Study, base: BaseImage, blobs: Sequence[Blob]) -> dict[str, Any]:
    """Set the crafted layers on the base's config, or on an empty one."""
    below = base.config
    process = dict(below.get("config") or {"Env": [_PATH], "WorkingDir": "/"})
    if study.has_entrypoint:
        process["Entrypoint"] = [f"/{PROGRAM_PATH}"]
        # They would be handed to the program as arguments.
        process.pop("Cmd", None)
    crafted = {
        "created": _EPOCH,
        "created_by": f"pullstudy craft: {study.content_name}, {study.compression_name}",
    }
    diff_ids = [*(below.get("rootfs") or {}).get("diff_ids", ()), *(blob.diff_id for blob in blobs)]
    return {
        "created": _EPOCH,
        "os": "linux",
        "architecture": study.architecture,
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [*(below.get("history") or ()), *([crafted] * len(blobs))],
    }
