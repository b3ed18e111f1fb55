from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.craft.content import ALL_RANDOM, ALL_ZEROS, STRIPE_BYTES, Mix
from pullstudy.craft.estargz import EstargzFormat
from pullstudy.craft.formats import choose_format
from pullstudy.craft.layers import (
    Layer,
    LayerFormat,
    LayerOrder,
    LayerTooSmall,
    given_file,
    least_bytes,
    solve_layer,
)
from pullstudy.craft.study import Size, Study
from tests.unit.craft.conftest import make_layer, sha256

HALF = Mix(letters=0.5, zeros=0.3)
NAMES = ["gzip", "zstd", "estargz", "none"]


def format_of(name: str) -> LayerFormat:
    return choose_format(Study((Size(1),), (1,), compression=name))


def order_of(
    name: str,
    target: int,
    *,
    mix: Mix = ALL_RANDOM,
    files: int = 1,
    is_compressed: bool = True,
    stamp: str = "000-0123456789abcdef",
) -> LayerOrder:
    return LayerOrder(format_of(name), mix, stamp, files, target, is_compressed)


def check_bytes(layer: Layer) -> None:
    """Hold what was planned to what an independent reader finds."""
    made = make_layer(layer)
    assert len(made.data) == made.blob.size_bytes == layer.compressed_bytes
    assert len(made.plain) == made.blob.uncompressed_bytes == layer.uncompressed_bytes
    assert sha256(made.data) == made.blob.digest
    assert sha256(made.plain) == made.blob.diff_id
    crafted = [data for path, data in made.files.items() if path.startswith("crafted/")]
    assert len(crafted) == layer.order.file_count
    assert sum(map(len, crafted)) == layer.content_bytes


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    target=st.one_of(st.integers(12_000, 60_000), st.integers(60_000, 6_000_000)),
    mix=st.sampled_from([ALL_RANDOM, HALF, Mix(letters=1.0, zeros=0.0)]),
    files=st.integers(1, 5),
)
def test_a_compressed_size_is_met_to_the_byte(name: str, target: int, mix: Mix, files: int) -> None:
    layer = solve_layer(order_of(name, target, mix=mix, files=files))
    if name == "none":
        # Nothing but whole blocks of 512 bytes can be had.
        assert 0 <= target - layer.compressed_bytes < 512
    else:
        assert layer.compressed_bytes == target
    check_bytes(layer)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    target=st.integers(12_000, 4_000_000),
    mix=st.sampled_from([ALL_RANDOM, ALL_ZEROS, HALF]),
    files=st.integers(1, 5),
)
def test_an_uncompressed_size_is_met_but_for_a_block(
    name: str, target: int, mix: Mix, files: int
) -> None:
    layer = solve_layer(order_of(name, target, mix=mix, files=files, is_compressed=False))
    # The table of contents of eStargz grows with the digits of its numbers.
    assert 0 <= target - layer.uncompressed_bytes < (1536 if name == "estargz" else 512)
    check_bytes(layer)


@pytest.mark.parametrize("name", ["gzip", "zstd", "estargz"])
def test_zeros_meet_a_compressed_size_too(name: str) -> None:
    layer = solve_layer(order_of(name, 9_999, mix=ALL_ZEROS))
    assert layer.compressed_bytes == 9_999
    check_bytes(layer)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", [9_999_999_999, 19_039_736_629])
def test_sizes_beyond_8_gib_are_solved(name: str, target: int) -> None:
    layer = solve_layer(order_of(name, target))
    assert 0 <= target - layer.compressed_bytes < 512
    assert layer.uncompressed_bytes % 512 == 0
    assert 0.999 < layer.uncompressed_bytes / layer.compressed_bytes < 1.0001


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_layer_is_what_it_is_said_to_be(name: str) -> None:
    least = least_bytes(order_of(name, 0, files=3))
    check_bytes(solve_layer(order_of(name, least, files=3)))
    with pytest.raises(LayerTooSmall, match="too small for its files: they need"):
        solve_layer(order_of(name, least - 1, files=3))


def test_layers_differ_by_their_stamp_alone_even_when_they_hold_zeros() -> None:
    orders = [
        order_of("gzip", 5_000, mix=ALL_ZEROS, stamp=f"00{n}-0123456789abcdef") for n in (1, 2)
    ]
    first, second = (make_layer(solve_layer(order)).blob for order in orders)
    assert first.digest != second.digest
    assert first.diff_id != second.diff_id
    assert first.size_bytes == second.size_bytes


def test_given_files_are_kept_as_they_are() -> None:
    fixed = (given_file("pullstudy/start", b"program", 0o755),)
    made = make_layer(solve_layer(replace(order_of("gzip", 50_000), fixed=fixed)))
    assert made.files["pullstudy/start"] == b"program"


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("gzip", "30a59135d162abf3519195e5"),
        ("zstd", "a7d3b1898eb1491f5624ba40"),
        ("estargz", "8db8d0e8cc2de4c6b8dddda4"),
        ("none", "cd2afaf7c1d58fdf94fb5033"),
    ],
)
def test_the_same_order_gives_the_same_digest_on_every_machine(name: str, digest: str) -> None:
    layer = solve_layer(order_of(name, 2 * STRIPE_BYTES, mix=HALF, files=2))
    assert make_layer(layer).blob.digest.removeprefix("sha256:")[:24] == digest


def test_the_recipe_names_all_that_the_bytes_depend_on() -> None:
    order = order_of("gzip", 100_000)
    fixed = (given_file("a", b"x", 0o644),)
    others = [
        order_of("zstd", 100_000),
        order_of("gzip", 100_001),
        order_of("gzip", 100_000, mix=HALF),
        order_of("gzip", 100_000, files=2),
        order_of("gzip", 100_000, stamp="001-0123456789abcdef"),
        replace(order, fixed=fixed),
        replace(order, fixed=(given_file("a", b"y", 0o644),)),
    ]
    recipes = [solve_layer(each).recipe for each in (order, *others)]
    assert len(set(recipes)) == len(recipes)
    assert solve_layer(order).recipe == recipes[0]


def test_a_stream_is_generated_anew_each_time() -> None:
    layer = solve_layer(order_of("estargz", 5 * STRIPE_BYTES, files=2))
    assert isinstance(layer.order.format, EstargzFormat)
    assert make_layer(layer).blob == make_layer(layer).blob
