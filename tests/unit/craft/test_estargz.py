"""An eStargz reader by the specification, which knows nothing of our writer."""

import io
import json
import tarfile
import zlib
from typing import Any

import pytest

from pullstudy.craft.content import ALL_RANDOM, ALL_ZEROS, Mix
from pullstudy.craft.estargz import CHUNK_BYTES, EstargzFormat
from pullstudy.craft.layers import LayerOrder, given_file, solve_layer
from tests.unit.craft.conftest import MadeLayer, make_layer, sha256

FOOTER_BYTES = 51
PROGRAM = given_file("pullstudy/start", b"program" * 100, 0o755)


@pytest.fixture(
    scope="module",
    params=[(ALL_RANDOM, 12_000_000, 2), (Mix(0.5, 0.4), 300_000, 3), (ALL_ZEROS, 30_000, 1)],
    ids=["random", "mixed", "zeros"],
)
def made(request: pytest.FixtureRequest) -> MadeLayer:
    mix, target, files = request.param
    order = LayerOrder(EstargzFormat(), mix, "000-ab", files, target, True, (PROGRAM,))
    layer = make_layer(solve_layer(order))
    assert layer.blob.size_bytes == target
    return layer


def read_footer(data: bytes) -> int:
    """Return the offset of the table of contents (docs/estargz.md, "Footer")."""
    footer = data[-FOOTER_BYTES:]
    assert footer[:4] == b"\x1f\x8b\x08\x04"
    assert footer[10:16] == b"\x1a\x00SG\x16\x00"
    assert footer[32:38] == b"STARGZ"
    assert footer[38:43] == b"\x01\x00\x00\xff\xff"
    return int(footer[16:32], 16)


def read_member(data: bytes, offset: int) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(data[offset:])


def read_toc(made: MadeLayer) -> bytes:
    member = read_member(made.data, read_footer(made.data))
    with tarfile.open(fileobj=io.BytesIO(member)) as archive:
        entry = archive.next()
        assert entry is not None
        assert entry.name == "stargz.index.json"
        content = archive.extractfile(entry)
        assert content is not None
        return content.read()


def test_the_annotations_tell_digest_and_size(made: MadeLayer) -> None:
    annotations = made.blob.annotations
    assert annotations["containerd.io/snapshot/stargz/toc.digest"] == sha256(read_toc(made))
    assert annotations["io.containers.estargz.uncompressed-size"] == str(len(made.plain))
    assert made.files["stargz.index.json"] == read_toc(made)


def test_every_chunk_is_where_the_table_says(made: MadeLayer) -> None:
    toc = json.loads(read_toc(made))
    assert toc["version"] == 1
    contents: dict[str, bytes] = {}
    entry: dict[str, Any] = {}
    for row in toc["entries"]:
        entry = row if row["type"] == "reg" else entry
        left = entry["size"] - row.get("chunkOffset", 0)
        size = row.get("chunkSize", left)
        chunk = read_member(made.data, row["offset"])[:size]
        assert sha256(chunk) == row["chunkDigest"]
        assert row.get("chunkOffset", 0) == len(contents.get(row["name"], b""))
        contents[row["name"]] = contents.get(row["name"], b"") + chunk
        assert size <= CHUNK_BYTES
    files = {name: data for name, data in made.files.items() if name != "stargz.index.json"}
    assert contents == files
    for row in toc["entries"]:
        if row["type"] == "reg":
            assert sha256(contents[row["name"]]) == row["digest"]


def test_nothing_is_fetched_before_it_is_read(made: MadeLayer) -> None:
    assert made.files[".no.prefetch.landmark"] == b"\x0f"
    assert made.files["pullstudy/start"] == PROGRAM.data
