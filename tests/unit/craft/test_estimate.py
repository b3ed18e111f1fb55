import math
from collections.abc import Generator

import pytest

from pullstudy.craft import estimate
from pullstudy.craft.content import STRIPE_BYTES
from pullstudy.craft.estimate import estimate_plan
from pullstudy.craft.plan import plan_study
from pullstudy.craft.stream import Blob, LayerStream
from pullstudy.craft.study import Size, Study

SAMPLE_BYTES = 2 << 20


def test_shared_layers_and_the_base_are_counted_once() -> None:
    base = (Blob("type", "sha256:a", 100_000, "sha256:b", 0),)
    study = Study((Size(900_000),), (5, 200), copies=3, shared_layers=2)
    plan = plan_study(study, base)
    total = estimate_plan(plan)
    assert (total.image_count, total.skipped_count) == (3, 3)
    # Of each image's five layers one is the base's and two are shared.
    assert total.layer_count == 2 + 3 * 2
    assert total.image_bytes == 2_700_000
    shared = sum(layer.compressed_bytes for layer in plan.images[0].layers[:2])
    assert total.unique_bytes == 100_000 + shared + 3 * (800_000 - shared)


@pytest.mark.parametrize(("size", "files"), [(30_000, 1), (300_000_000, 1), (9_000_000, 3_000)])
def test_the_rate_is_measured_over_some_megabytes(
    size: int, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting threads takes longer than a small layer: it must not be taken for the rate."""
    generated: list[int] = []

    class CountedStream(LayerStream):
        def plain_blocks(self) -> Generator[memoryview]:
            for block in super().plain_blocks():
                generated.append(len(block))
                yield block

    monkeypatch.setattr(estimate, "LayerStream", CountedStream)
    monkeypatch.setattr(estimate, "_SAMPLE_SECONDS", math.inf)
    # Fewer bytes than 3,000 files have at least.
    monkeypatch.setattr(estimate, "_SAMPLE_BYTES", SAMPLE_BYTES)
    assert estimate_plan(plan_study(Study((Size(size),), (2,), files_per_layer=files))).seconds > 0
    assert SAMPLE_BYTES <= sum(generated) < SAMPLE_BYTES + STRIPE_BYTES


def test_nothing_takes_no_time() -> None:
    assert estimate_plan(plan_study(Study((Size(1),), (1,)))).seconds == 0
