from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.craft.plan import Plan, PlannedImage, choose_reads, plan_study, unique_layers
from pullstudy.craft.stream import Blob
from pullstudy.craft.study import Size, Study, StudyError
from pullstudy.errors import CraftError
from tests.unit.craft.conftest import MakeStudy, make_layer


def study_of(total: int, layers: int, **more: object) -> Study:
    return Study((Size(total),), (layers,), **more)  # type: ignore[arg-type]


def only_image(plan: Plan) -> PlannedImage:
    assert not plan.skipped
    (image,) = plan.images
    return image


def within_tolerance(found: int, target: int) -> bool:
    """Within 0.01 % or 1 KiB, whichever is larger."""
    return abs(found - target) <= max(target // 10_000, 1024)


@settings(max_examples=80, deadline=None)
@given(
    # 125 layers of 7 files need up to 1.6 MB, as eStargz with a list of what to read.
    total=st.integers(2_000_000, 20_000_000_000),
    layers=st.integers(1, 125),
    files=st.sampled_from([1, 2, 7]),
    compression=st.sampled_from(["gzip", "zstd", "estargz", "none"]),
    content=st.sampled_from([("random", None), ("ratio", 2.6), ("zeros", None)]),
    is_compressed=st.booleans(),
    reads=st.sampled_from([0.0, 0.064]),
)
def test_totals_are_exact_and_layers_are_unique(
    total: int,
    layers: int,
    files: int,
    compression: str,
    content: tuple[str, float | None],
    is_compressed: bool,
    reads: float,
) -> None:
    study = study_of(
        total,
        layers,
        files_per_layer=files,
        compression=compression,
        content=content[0],
        ratio=content[1],
        is_compressed=is_compressed,
        reads_share=reads,
    )
    plan = plan_study(study, beyond_limits=True)
    if compression == "estargz" and plan.skipped:
        # Some gigabytes of compressed zeros are terabytes.
        assert content[0] == "zeros"
        assert "an eStargz layer would unpack to" in plan.skipped[0].reason
        return
    image = only_image(plan)
    found = image.compressed_bytes if is_compressed else image.uncompressed_bytes
    assert found is not None
    assert within_tolerance(found, total)
    assert len(image.layers) == layers
    assert len({layer.recipe for layer in image.layers}) == layers


def test_the_published_matrix_is_planned(make_study: MakeStudy) -> None:
    plan = plan_study(
        make_study(
            """
sizes: [{total: 53702097}, {total: 58049507.8}, {total: 19039736629}]
layers: [{exact: 9}, {exact: 125}]
"""
        )
    )
    assert [image.cell.tag for image in plan.images] == [
        "9-layers-size-53702097-bytes",
        "125-layers-size-53702097-bytes",
        "9-layers-size-58049507-bytes",
        "125-layers-size-58049507-bytes",
        "9-layers-size-19039736629-bytes",
        "125-layers-size-19039736629-bytes",
    ]
    assert [image.compressed_bytes for image in plan.images[::2]] == [
        53_702_097, 58_049_507, 19_039_736_629,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("total", "layers", "reason"),
    [
        (5_000_000, 126, "126 layers, Docker takes 125"),
        (19_039_736_629, 1, "a layer would have 19,039,736,629 bytes, registries take 10,000,000"),
    ],
)
def test_limits_skip_an_image_and_can_be_lifted(total: int, layers: int, reason: str) -> None:
    study = study_of(total, layers)
    plan = plan_study(study)
    assert not plan.images
    assert reason in plan.skipped[0].reason
    assert "--beyond-limits" in plan.skipped[0].reason
    assert only_image(plan_study(study, beyond_limits=True)).compressed_bytes == total


def test_limits_themselves_are_allowed() -> None:
    assert only_image(plan_study(study_of(5_000_000, 125)))
    assert only_image(plan_study(study_of(10_000_000_000, 1)))


def test_an_image_that_is_too_small_is_skipped_with_the_size_it_needs() -> None:
    (skipped,) = plan_study(study_of(100_000, 100, files_per_layer=9)).skipped
    assert "too few for 100 layers: the files need" in skipped.reason
    assert not plan_study(study_of(120_000, 10, files_per_layer=9)).skipped


def test_an_impossible_ratio_is_an_error_of_the_study() -> None:
    with pytest.raises(CraftError, match="ratio 5000 cannot be reached"):
        plan_study(study_of(10_000_000, 3, content="ratio", ratio=5000.0))


def test_what_is_not_the_default_stands_in_the_tag(make_study: MakeStudy) -> None:
    plan = plan_study(
        make_study(
            """
sizes: [{total: 9000000}]
layers: [{exact: 3}]
compression: zstd
level: 3
content: {ratio: 2.6}
size_of: uncompressed
platform: linux/arm64
copies: 2
"""
        )
    )
    assert [image.cell.tag for image in plan.images] == [
        f"3-layers-size-9000000-bytes-zstd-level-3-ratio-2.6-uncompressed-arm64-{copy}"
        for copy in (1, 2)
    ]


def test_shared_layers_that_do_not_fit_into_the_smallest_image_are_refused() -> None:
    study = Study((Size(2_100), Size(9_000_000)), (9,), compression="estargz", shared_layers=3)
    with pytest.raises(
        StudyError, match=r"'shared_layers': of the smallest image 699 bytes are too few"
    ):
        plan_study(study)


def test_shared_layers_are_the_same_in_every_image_and_the_others_are_not() -> None:
    study = Study(
        (Size(9_000_000), Size(30_000_000)), (6, 12), shared_layers=4, copies=3, reads_share=0.1
    )
    plan = plan_study(study)
    assert len(plan.images) == 12
    recipes = [[layer.recipe for layer in image.layers] for image in plan.images]
    assert len({tuple(each[:4]) for each in recipes}) == 1
    own = [recipe for each in recipes for recipe in each[4:]]
    assert len(set(own)) == len(own)
    for image in plan.images:
        assert image.compressed_bytes == image.cell.size.total_bytes
    assert len(unique_layers(plan.images)) == 4 + len(own)
    # Like the layers of the smallest image.
    assert {layer.compressed_bytes for layer in plan.images[0].layers[:4]} == {750_000}


def test_an_image_must_have_a_layer_of_its_own() -> None:
    plan = plan_study(Study((Size(9_000_000),), (3, 4), shared_layers=3))
    assert [image.cell.layer_count for image in plan.images] == [4]
    assert "leave none of its own" in plan.skipped[0].reason


def test_layer_sizes_follow_a_table(tmp_path: Path, make_study: MakeStudy) -> None:
    known = [32, 1_000, 50_000, 2_000_000, 90_000_000]
    pq.write_table(pa.table({"size_bytes": known}), tmp_path / "layers.parquet")
    study = make_study(
        "sizes: [{total: 400000000}]\nlayers: [{exact: 40}]\ndistribution: {from: layers.parquet}"
    )
    image = only_image(plan_study(study))
    sizes = sorted(layer.compressed_bytes for layer in image.layers)
    assert sum(sizes) == 400_000_000
    # Most are tiny, a few hold nearly all: unlike equal ones of 10 MB.
    assert sizes[10] < 100_000 < 20_000_000 < sizes[-1]
    assert only_image(plan_study(study)).layers == image.layers


@settings(max_examples=30, deadline=None)
@given(
    share=st.floats(0, 1),
    files=st.integers(1, 9),
    layers=st.integers(1, 9),
)
def test_the_program_reads_its_share_of_the_files(share: float, files: int, layers: int) -> None:
    study = study_of(3_000_000, layers, files_per_layer=files, reads_share=share)
    image = only_image(plan_study(study))
    steps = choose_reads(image.layers, share)
    content = sum(layer.content_bytes for layer in image.layers)
    assert sum(step.size_bytes for step in steps) == round(share * content)
    sizes = {f"/{e.path}": e.size_bytes for layer in image.layers for e in layer.entries}
    assert all(0 < step.size_bytes <= sizes[step.path] for step in steps)
    # Whole files, but for the last one.
    assert all(step.size_bytes == sizes[step.path] for step in steps[:-1])
    assert image.compressed_bytes == 3_000_000


def test_the_program_and_its_list_are_in_the_last_layer() -> None:
    study = study_of(2_000_000, 4, files_per_layer=50, reads_share=0.5)
    image = only_image(plan_study(study))
    found = [make_layer(layer) for layer in image.layers]
    assert [("pullstudy/start" in layer.files) for layer in found] == [False, False, False, True]
    program = found[-1].files["pullstudy/start"]
    everything = {path: data for layer in found for path, data in layer.files.items()}
    listed = [path for path in everything if f"/{path}\0".encode() in program]
    assert sum(len(everything[path]) for path in listed) == pytest.approx(1_000_000, rel=0.05)


def test_without_a_program_there_is_nothing_but_files() -> None:
    image = only_image(plan_study(study_of(1_000_000, 2, has_entrypoint=False)))
    assert all(len(layer.entries) == 1 for layer in image.layers)


BASE = (Blob("type", "sha256:a", 2_000_000, "sha256:b", 0),)


def test_the_base_counts_among_bytes_and_layers() -> None:
    plan = plan_study(Study((Size(9_000_000), Size(1_000_000)), (1, 4)), BASE)
    (image,) = plan.images
    assert (image.cell.layer_count, len(image.layers)) == (4, 3)
    assert image.compressed_bytes == 9_000_000
    assert sum(layer.compressed_bytes for layer in image.layers) == 7_000_000
    assert image.uncompressed_bytes is None
    reasons = [skipped.reason for skipped in plan.skipped]
    assert [("too few" in reason, "none of its own" in reason) for reason in reasons] == [
        (False, True), (False, True), (True, False),
    ]  # fmt: skip
    with pytest.raises(StudyError, match="key 'base'"):
        plan_study(study_of(9_000_000, 4, is_compressed=False), BASE)


def test_another_seed_gives_other_layers_of_the_same_size() -> None:
    first, second = (only_image(plan_study(study_of(4_000_000, 3, seed=n))) for n in (1, 2))
    assert {a.recipe for a in first.layers}.isdisjoint(b.recipe for b in second.layers)
    assert [a.compressed_bytes for a in first.layers] == [b.compressed_bytes for b in second.layers]
