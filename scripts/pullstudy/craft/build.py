"""Make the images of a plan, one after the other, and say what was made."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import orjson

from pullstudy.craft.base import BaseImage
from pullstudy.craft.image import (
    RECIPE_ANNOTATION,
    UNCOMPRESSED_ANNOTATION,
    build_documents,
    describe_recipe,
)
from pullstudy.craft.layers import Layer
from pullstudy.craft.output import Output
from pullstudy.craft.plan import Plan, PlannedImage, SkippedImage, unique_layers
from pullstudy.craft.stream import Blob, Watch
from pullstudy.registry.cache import digest_of


@dataclass(frozen=True)
class CraftedImage:
    """One image that is there; the sizes are those of its manifest, not of the plan."""

    planned: PlannedImage
    digest: str
    compressed_bytes: int
    uncompressed_bytes: int | None
    layer_count: int
    was_there: bool


class Reporter:
    """Is told how crafting goes; this one says nothing of it."""

    def begin(self, size_bytes: int, skipped: Sequence[SkippedImage]) -> None:
        """So many bytes of layers will be made; some images will not."""

    def add(self, size_bytes: int) -> None:
        """So many more were generated; called by several threads."""

    def finish(self, image: CraftedImage) -> None:
        """An image is there."""


def craft_images(
    plan: Plan, output: Output, base: BaseImage, reporter: Reporter
) -> list[CraftedImage]:
    """Make every image that is not there yet."""
    missing = [image for image in plan.images if _find(image, plan, output) is None]
    output.prepare(missing)
    size_bytes = sum(layer.compressed_bytes for layer in unique_layers(missing))
    reporter.begin(size_bytes, plan.skipped)
    workshop = _Workshop(plan, output, base, reporter)
    crafted = []
    for image in plan.images:
        crafted.append(workshop.make(image))
        reporter.finish(crafted[-1])
    return crafted


class _Workshop:
    """Makes images one after the other."""

    def __init__(self, plan: Plan, output: Output, base: BaseImage, reporter: Reporter) -> None:
        self._plan = plan
        self._output = output
        self._base = base
        self._reporter = reporter

    def make(self, image: PlannedImage) -> CraftedImage:
        found = _find(image, self._plan, self._output)
        if found is not None:
            return _summarise(image, found, was_there=True)
        for blob in self._base.blobs:
            self._output.put_base(blob, self._base)
        blobs = self._put_layers(image.layers)
        documents = build_documents(image, self._plan.study, self._base, blobs)
        self._output.put_image(image.cell.tag, documents)
        return _summarise(image, documents.manifest, was_there=False)

    def _put_layers(self, layers: Sequence[Layer]) -> list[Blob]:
        """Make layers side by side; when one fails, or the user stops, the others end as well."""
        watch = Watch(self._reporter.add)
        with ThreadPoolExecutor(self._output.layers_at_once) as threads:
            try:
                tasks = [threads.submit(self._output.put_layer, layer, watch) for layer in layers]
                for task in as_completed(tasks):
                    task.result()
            except BaseException:
                watch.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        return [task.result() for task in tasks]


def _find(image: PlannedImage, plan: Plan, output: Output) -> bytes | None:
    """Return the manifest under the image's tag if it was made by the same recipe."""
    manifest = output.find_manifest(image.cell.tag)
    if manifest is None:
        return None
    annotations = orjson.loads(manifest).get("annotations") or {}
    is_same = annotations.get(RECIPE_ANNOTATION) == describe_recipe(image, plan.study)
    return manifest if is_same else None


def _summarise(image: PlannedImage, manifest: bytes, *, was_there: bool) -> CraftedImage:
    document: dict[str, Any] = orjson.loads(manifest)
    layers = document["layers"]
    uncompressed = document["annotations"].get(UNCOMPRESSED_ANNOTATION)
    return CraftedImage(
        planned=image,
        digest=digest_of(manifest),
        compressed_bytes=sum(layer["size"] for layer in layers),
        uncompressed_bytes=None if uncompressed is None else int(uncompressed),
        layer_count=len(layers),
        was_there=was_there,
    )
