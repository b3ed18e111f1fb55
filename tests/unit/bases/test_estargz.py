"""Tables of contents: what they say is what the tar holds; damaged and hostile ones."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from pullstudy.bases.entries import DEVICE, FIFO, FILE, FOLDER, HARDLINK, SYMLINK, Entry
from pullstudy.bases.estargz import FOOTER_BYTES, find_toc, read_toc
from pullstudy.bases.faults import LayerFault
from tests.unit.bases.conftest import digest_of, make_budget, make_estargz, make_toc_tar

ENTRIES: list[dict[str, Any]] = [
    {"name": "bin/", "type": "dir", "mode": 0o40755},
    {"name": "bin/sh", "type": "reg", "size": 5, "mode": 0o100755, "digest": "sha256:" + "a" * 64},
    {"name": "bin/sh", "type": "chunk", "offset": 9, "chunkOffset": 3, "chunkSize": 2},
    {"name": "empty", "type": "reg", "mode": 0o644, "uid": 7, "gid": 8},
    {"name": "sh", "type": "symlink", "linkName": "bin/sh", "mode": 0o777},
    {"name": "hard", "type": "hardlink", "linkName": "bin/sh", "mode": 0o755},
    {"name": "null", "type": "char", "devMajor": 1, "devMinor": 3, "mode": 0o666},
    {"name": "disk", "type": "block", "devMajor": 8, "devMinor": 0, "mode": 0o660},
    {"name": "pipe", "type": "fifo", "mode": 0o600},
    {"name": ".no.prefetch.landmark", "type": "reg", "size": 1, "digest": "sha256:" + "b" * 64},
]


def toc_of(entries: list[dict[str, Any]], version: int = 1) -> bytes:
    return json.dumps({"version": version, "entries": entries}).encode()


def read(toc: bytes, digest: str | None = None, **limits: Any) -> list[Entry] | None:
    tail = gzip.compress(make_toc_tar(toc))
    return read_toc(tail, digest or digest_of(toc), make_budget(**limits), with_digests=True)


def test_every_type_of_entry() -> None:
    assert read(toc_of(ENTRIES)) == [
        Entry("bin/", FOLDER, 0, None, 0o755),
        Entry("bin/sh", FILE, 5, "sha256:" + "a" * 64, 0o755),
        Entry("empty", FILE, 0, digest_of(b""), 0o644, 7, 8),
        Entry("sh", SYMLINK, 0, "bin/sh", 0o777),
        Entry("hard", HARDLINK, 0, "bin/sh", 0o755),
        Entry("null", DEVICE, 0, "3 1:3", 0o666),
        Entry("disk", DEVICE, 0, "4 8:0", 0o660),
        Entry("pipe", FIFO, 0, None, 0o600),
    ]


def test_a_footer_leads_to_the_table() -> None:
    layer = make_estargz([("a", b"content")])
    offset = find_toc(layer.blob[-FOOTER_BYTES:], len(layer.blob))
    assert offset is not None
    digest = layer.annotations["containerd.io/snapshot/stargz/toc.digest"]
    entries = read_toc(layer.blob[offset:-FOOTER_BYTES], digest, make_budget(), with_digests=True)
    assert entries == [Entry("a", FILE, 7, digest_of(b"content"), 0o644)]


@pytest.mark.parametrize("change", [slice(0, 1), slice(13, 14), slice(16, 17), slice(36, 37)])
def test_what_is_no_footer_leads_nowhere(change: slice) -> None:
    layer = make_estargz([("a", b"content")])
    footer = bytearray(layer.blob[-FOOTER_BYTES:])
    assert find_toc(bytes(footer), len(layer.blob)) is not None
    footer[change] = b"!"
    assert find_toc(bytes(footer), len(layer.blob)) is None
    assert find_toc(layer.blob[-50:], len(layer.blob)) is None
    # A table may not begin where its layer is over.
    assert find_toc(layer.blob[-FOOTER_BYTES:], 60) is None


def test_without_digests_of_all_files_the_layer_has_to_be_streamed() -> None:
    toc = toc_of([{"name": "a", "type": "reg", "size": 5}])
    assert read(toc) is None
    tail = gzip.compress(make_toc_tar(toc))
    paths = read_toc(tail, digest_of(toc), make_budget(), with_digests=False)
    assert [entry.path for entry in paths or ()] == ["a"]


LARGE = toc_of([{"name": f"file {number}", "type": "reg"} for number in range(2_000)])
EXABYTE = 1 << 60
HOSTILE: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "other digest": (toc_of([]), {"digest": "sha256:" + "0" * 64}, "has the digest"),
    "no json": (b"{", {}, "cannot be read"),
    "deep json": (b"[" * 100_000, {}, "cannot be read"),
    "surrogate": (b'{"version":1,"entries":[{"name":"\\ud800","type":"reg"}]}', {}, "cannot be"),
    "negative": (toc_of([{"name": "a", "type": "reg", "size": -1}]), {}, "cannot be read"),
    "version": (toc_of([], 2), {}, "unknown version 2"),
    "type": (toc_of([{"name": "a", "type": "door"}]), {}, "unknown type 'door'"),
    "large": (LARGE, {"toc_bytes_max": 10_000}, "table of contents has more than"),
    "entries": (LARGE, {"entries_max": 1_999}, "more than 1,999 files"),
    "names": (LARGE, {"name_bytes_max": 5_000}, "bytes of paths"),
    "path": (toc_of([{"name": "p" * 5_000, "type": "reg"}]), {}, "path of 5000 bytes"),
    "zero": (toc_of([{"name": "a\0b", "type": "reg"}]), {}, "zero byte"),
    "exabyte": (
        toc_of([{"name": "a", "type": "reg", "size": EXABYTE, "digest": "sha256:0"}]),
        {},
        "unpacked bytes",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tables_are_told_in_one_line(case: str) -> None:
    toc, how, message = HOSTILE[case]
    with pytest.raises(LayerFault) as caught:
        read(toc, **how)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tail",
    [
        gzip.compress(make_toc_tar(b"{}", name="other.json")),
        gzip.compress(make_toc_tar(b"{}" * 999)[:1_024]),
        gzip.compress(b"short"),
        b"",
        b"no gzip, and no tar either" * 99,
    ],
    ids=["name", "cut", "short", "nothing", "noise"],
)
def test_a_table_that_is_not_there_is_told(tail: bytes) -> None:
    with pytest.raises(LayerFault):
        read_toc(tail, digest_of(b"{}"), make_budget(), with_digests=False)


def test_a_bomb_for_a_table_is_stopped() -> None:
    tail = gzip.compress(bytes(64 << 20))
    with pytest.raises(LayerFault, match="table of contents has more than"):
        read_toc(tail, digest_of(b""), make_budget(toc_bytes_max=1 << 20), with_digests=False)
