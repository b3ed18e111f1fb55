"""What a plan will cost: bytes, disk and time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pullstudy.craft.layers import Layer, least_bytes, solve_layer
from pullstudy.craft.plan import Plan, unique_layers
from pullstudy.craft.stream import LayerStream, Watch

# Long enough to outlast the start of the threads, short enough to wait for.
_SAMPLE_BYTES = 48 << 20
_SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class Estimate:
    """Totals of a plan.

    image_bytes: sum over all images. unique_bytes: shared layers and base counted once: what is
    sent, and what `oci:DIR` takes on disk. unpacked_bytes: of all images, without a base.
    seconds: generating on this machine, measured just now; sending is not in it.
    """

    image_count: int
    skipped_count: int
    layer_count: int
    image_bytes: int
    unique_bytes: int
    unpacked_bytes: int
    seconds: float


def estimate_plan(plan: Plan) -> Estimate:
    """Add up a plan, and time a small layer of its kind."""
    layers = unique_layers(plan.images)
    base = {blob.digest: blob.size_bytes for image in plan.images for blob in image.base}
    unpacked = sum(layer.uncompressed_bytes for image in plan.images for layer in image.layers)
    generated = sum(layer.uncompressed_bytes for layer in layers)
    return Estimate(
        image_count=len(plan.images),
        skipped_count=len(plan.skipped),
        layer_count=len(layers),
        image_bytes=sum(image.compressed_bytes for image in plan.images),
        unique_bytes=sum(layer.compressed_bytes for layer in layers) + sum(base.values()),
        unpacked_bytes=unpacked,
        seconds=generated / _measure_rate(layers) if layers else 0.0,
    )


def _measure_rate(layers: Sequence[Layer]) -> float:
    """Generate a layer like the largest one for a while; returns uncompressed bytes per second."""
    sample = max(layers, key=lambda layer: layer.uncompressed_bytes)
    if sample.uncompressed_bytes < _SAMPLE_BYTES:
        # Too small a layer would measure the start of the threads.
        order = replace(sample.order, is_compressed=False)
        target_bytes = max(_SAMPLE_BYTES, least_bytes(order))
        sample = solve_layer(replace(order, target_bytes=target_bytes))
    start, size_bytes = time.perf_counter(), 0
    with contextlib.closing(LayerStream(sample, Watch()).plain_blocks()) as blocks:
        for block in blocks:
            size_bytes += len(block)
            if size_bytes >= _SAMPLE_BYTES or time.perf_counter() - start > _SAMPLE_SECONDS:
                break
    return size_bytes / (time.perf_counter() - start)
