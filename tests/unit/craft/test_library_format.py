import itertools
import zlib
from dataclasses import replace

import pytest
import zstandard

from pullstudy.craft.content import ALL_RANDOM, ALL_ZEROS, Mix
from pullstudy.craft.formats import choose_format
from pullstudy.craft.layers import Layer, LayerOrder, LayerTooSmall, least_bytes, solve_layer
from pullstudy.craft.library_format import LibraryFormat
from pullstudy.craft.study import Size, Study
from tests.unit.craft.conftest import make_layer, sha256

MIXED = Mix(letters=0.5, zeros=0.3)


def solve(name: str, level: int, mix: Mix, target: int, *, is_compressed: bool = True) -> Layer:
    layer_format = choose_format(Study((Size(1),), (1,), compression=name, level=level))
    assert isinstance(layer_format, LibraryFormat)
    return solve_layer(LayerOrder(layer_format, mix, "000-ab", 3, target, is_compressed))


@pytest.mark.parametrize(
    ("name", "level", "mix", "target"),
    [
        *itertools.product(("gzip",), (1, 6), (ALL_RANDOM, MIXED), (20_011, 700_001)),
        *itertools.product(("zstd",), (3, 12), (ALL_RANDOM, MIXED), (20_011, 700_001)),
        ("gzip", 6, ALL_ZEROS, 20_011),
    ],
)
def test_a_compressed_size_is_met_whatever_the_library_makes(
    name: str, level: int, mix: Mix, target: int
) -> None:
    layer = solve(name, level, mix, target)
    made = make_layer(layer)
    assert len(made.data) == target
    assert sha256(made.plain) == made.blob.diff_id
    # One more file takes up the rest.
    assert len(made.files) == 4
    assert made.blob.uncompressed_bytes == pytest.approx(layer.uncompressed_bytes, rel=0.15)


def test_the_library_did_the_work() -> None:
    layer = solve("gzip", 6, MIXED, 3_000_000, is_compressed=False)
    made = make_layer(layer)
    assert made.data == zlib.compress(made.plain, 6, wbits=31)
    assert len(made.files) == 3
    layer = solve("zstd", 3, MIXED, 3_000_000, is_compressed=False)
    made = make_layer(layer)
    # Without the size in the header, which a stream does not know beforehand.
    compressor = zstandard.ZstdCompressor(3, write_content_size=False)
    assert len(made.data) == pytest.approx(len(compressor.compress(made.plain)), rel=0.01)
    assert 0 <= 3_000_000 - len(made.plain) < 512


def test_a_layer_below_its_reserve_is_too_small() -> None:
    with pytest.raises(LayerTooSmall):
        solve("gzip", 6, ALL_RANDOM, 9_000)


@pytest.mark.parametrize(("name", "level"), [("gzip", 9), ("zstd", 3)])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_the_smallest_layer_is_what_it_is_said_to_be(
    name: str, level: int, is_compressed: bool
) -> None:
    """What is kept in reserve grows with the target: it must not outgrow the least one."""
    layer_format = choose_format(Study((Size(1),), (1,), compression=name, level=level))
    order = LayerOrder(layer_format, MIXED, "000-ab", 40, 0, is_compressed)
    least = least_bytes(order)
    made = make_layer(solve_layer(replace(order, target_bytes=least)))
    assert len(made.data if is_compressed else made.plain) == least
    with pytest.raises(LayerTooSmall, match=f"they need {least:,} bytes"):
        solve_layer(replace(order, target_bytes=least - 1))


def test_the_recipe_names_the_version_of_the_library() -> None:
    identity = solve("gzip", 6, ALL_RANDOM, 50_000).order.format.identity
    assert identity == f"gzip level 6, zlib {zlib.ZLIB_RUNTIME_VERSION}"
    assert "libzstd 1." in solve("zstd", 3, ALL_RANDOM, 50_000).order.format.identity
