"""Headers of tars: the same as Python's tarfile and GNU tar find, in any pieces; hostile ones."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.bases.entries import DEVICE, FIFO, FILE, FOLDER, HARDLINK, SYMLINK, Entry
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.tar_scanner import TarScanner
from tests.unit.bases.conftest import digest_of, make_budget, make_tar, member, patient, symlink

KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.DIRTYPE: FOLDER,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.LNKTYPE: HARDLINK,
    tarfile.CHRTYPE: DEVICE,
    tarfile.BLKTYPE: DEVICE,
    tarfile.FIFOTYPE: FIFO,
}
EXABYTE = 1 << 60


def scan(
    tar: bytes, *, piece_bytes: int = 1 << 20, with_digests: bool = True, **limits: Any
) -> list[Entry]:
    scanner = TarScanner(make_budget(**limits), with_digests=with_digests)
    for at in range(0, len(tar), piece_bytes):
        scanner.feed(tar[at : at + piece_bytes])
    return scanner.finish()


names = st.text("ab.\\\n é€😀=", min_size=1, max_size=40)
paths = (
    st.lists(names, min_size=1, max_size=8).map("/".join).filter(lambda p: len(p.encode()) < 900)
)


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    content = draw(st.binary(max_size=1_500)) if kind == tarfile.REGTYPE else b""
    info = member(
        draw(paths),
        kind,
        draw(paths) if KINDS[kind] in (SYMLINK, HARDLINK) else "",
        size=len(content),
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**31)),
        gid=draw(st.integers(0, 2**31)),
    )
    if KINDS[kind] == DEVICE:
        info.devmajor, info.devminor = draw(st.integers(0, 999)), draw(st.integers(0, 999))
    return info, content


@settings(max_examples=60, deadline=None)
@given(
    st.lists(members(), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 3_000),
)
def test_any_tar_is_read_as_tarfile_reads_it(
    wanted: list[tuple[tarfile.TarInfo, bytes]], format_: int, piece_bytes: int
) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=format_) as tar:
        for info, content in wanted:
            tar.addfile(info, io.BytesIO(content))
    output.seek(0)
    with tarfile.open(fileobj=output) as tar:
        known = tar.getmembers()
    found = scan(output.getvalue(), piece_bytes=piece_bytes)
    assert len(found) == len(known) == len(wanted)
    for entry, info, (_, content) in zip(found, known, wanted, strict=True):
        # tarfile takes the slash from the end of a folder's name.
        assert entry.path.rstrip("/") == info.name.rstrip("/")
        is_folder_by_name = info.isreg() and entry.path.endswith("/")
        assert entry.kind == (FOLDER if is_folder_by_name else KINDS[info.type])
        assert (entry.mode, entry.uid, entry.gid) == (info.mode, info.uid, info.gid)
        if entry.kind == FILE:
            assert (entry.size_bytes, entry.content) == (info.size, digest_of(content))
        elif entry.kind in (SYMLINK, HARDLINK):
            assert entry.content == info.linkname
        elif entry.kind == DEVICE:
            assert entry.content == f"{info.type.decode()} {info.devmajor}:{info.devminor}"


def test_without_digests_contents_are_passed_over() -> None:
    (entry,) = scan(make_tar([("a", b"x" * 5_000)]), with_digests=False)
    assert (entry.size_bytes, entry.content) == (5_000, None)


def test_names_that_are_not_utf_8_stay_apart() -> None:
    tar = make_tar([("a\udcff", b""), ("a\udcfe", b"")], tarfile.GNU_FORMAT)
    assert [entry.path for entry in scan(tar)] == ["a\udcff", "a\udcfe"]


@pytest.fixture(scope="module")
def sparse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 3 MB with holes at its start, in between and at its end; many parts."""
    path = tmp_path_factory.mktemp("sparse") / ("long-" * 30 + "name")
    random_ = random.Random(3)
    with path.open("wb") as file:
        for number in range(40):
            file.seek(100_000 + number * 70_000)
            file.write(random_.randbytes(5_000))
        file.truncate(3_000_000)
    return path


@pytest.mark.parametrize(
    "how",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=["gnu", "0.0", "0.1", "1.0"],
)
@pytest.mark.parametrize("with_digests", [True, False])
def test_sparse_files_of_gnu_tar(sparse_file: Path, how: list[str], with_digests: bool) -> None:
    command = ["tar", "--sparse", "-b1", *how, "-cf", "-", sparse_file.name, sparse_file.name]
    tar = subprocess.run(command, cwd=sparse_file.parent, capture_output=True, check=True).stdout
    assert len(tar) < 1_000_000, "tar found no holes: this file system has none"
    first, second = scan(tar, piece_bytes=777, with_digests=with_digests)
    assert (first.path, first.kind, first.size_bytes) == (sparse_file.name, FILE, 3_000_000)
    assert (second.kind, second.content) == (HARDLINK, sparse_file.name)
    wanted = hashlib.sha256(sparse_file.read_bytes()).hexdigest()
    assert first.content == (f"sha256:{wanted}" if with_digests else None)


@pytest.mark.parametrize("format_", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_formats_of_gnu_tar(tmp_path: Path, format_: str) -> None:
    long = "d" * 60 + "/" + "e" * 60 if format_ == "ustar" else "d" * 30 + "/" + "e" * 60
    (tmp_path / long).parent.mkdir()
    (tmp_path / long).write_bytes(b"content")
    (tmp_path / "link").symlink_to(long[:90])
    command = ["tar", "--sort=name", f"--format={format_}", "-cf", "-", "."]
    tar = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    found = {entry.path.rstrip("/"): entry for entry in scan(tar)}
    assert list(found) == [".", f"./{long.partition('/')[0]}", f"./{long}", "./link"]
    assert [entry.kind for entry in found.values()] == [FOLDER, FOLDER, FILE, SYMLINK]
    assert found[f"./{long}"].content == digest_of(b"content")
    assert found["./link"].content == long[:90]
    assert found[f"./{long}"].uid == os.getuid()


def header(**fields: Any) -> bytes:
    """A ustar header; `raw` puts bytes at offsets before the checksum is made."""
    raw = fields.pop("raw", {})
    name = fields.pop("name", "file")
    block = bytearray(member(name, **fields).tobuf(tarfile.USTAR_FORMAT))
    for at, data in raw.items():
        block[at : at + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def base256(number: int) -> bytes:
    return b"\x80" + number.to_bytes(11, "big")


def pax(records: bytes, flag: bytes = tarfile.XHDTYPE) -> bytes:
    return header(name="pax", kind=flag, size=len(records)) + records + bytes(-len(records) % 512)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n"
    length = len(rest) + len(str(len(rest)))
    return f"{len(rest) + len(str(length))}{rest}".encode()


END = bytes(1_024)


def test_the_shorter_prefix_of_star() -> None:
    block = header(raw={345: b"prefix", 476: b"12345670123", 508: b"tar\0"})
    assert [entry.path for entry in scan(block + END)] == ["prefix/file"]


def test_checksums_of_signed_bytes() -> None:
    block = bytearray(header(name="caf\u00e9"))
    signed = sum(b - 256 if b > 127 else b for b in block[:148] + b" " * 8 + block[156:])
    block[148:156] = b"%06o\0 " % signed
    assert [entry.path for entry in scan(bytes(block) + END)] == ["café"]


def test_an_end_of_no_or_one_block_is_borne() -> None:
    tar = header()
    assert len(scan(tar)) == len(scan(tar + bytes(512))) == len(scan(tar + END + b"rest")) == 1


def test_global_headers_concern_nobody() -> None:
    tar = pax(record("path", "other"), tarfile.XGLTYPE) + header() + END
    assert [entry.path for entry in scan(tar)] == ["file"]


GNU_MAP = {386: b"%011o\0%011o\0" % (0, 0), 483: base256(EXABYTE)}

HOSTILE = {
    "no tar": (b"x" * 1_024, "is no tar"),
    "damaged": (header()[:-1] + b"x" + END, "is no tar"),
    "cut header": (header()[:300], "ends too early"),
    "cut content": (header(size=5_000) + bytes(1_000), "ends too early"),
    "cut padding": (header(size=5) + b"12345", "ends too early"),
    "after the end": (header() + bytes(512) + header(), "goes on after its end"),
    "unknown type": (header(kind=b"Z") + END, "unknown type b'Z'"),
    "volume": (header(kind=b"M") + END, "unknown type b'M'"),
    "exabytes": (header(raw={124: base256(EXABYTE)}) + END, f"claims {EXABYTE} bytes"),
    "negative": (header(raw={124: b"\xff" * 12}) + END, "negative number"),
    "no number": (header(raw={124: b"12z45678901\0"}) + END, "broken number"),
    "pax size": (pax(record("size", str(EXABYTE))) + header() + END, f"claims {EXABYTE} bytes"),
    "gigantic name": (header(kind=b"L", size=EXABYTE >> 30) + END, "extended header of"),
    "gigantic pax": (header(kind=b"x", size=2 << 20) + END, "extended header of 2097152"),
    "long path": (pax(record("path", "p" * 5_000)) + header() + END, "path of 5000 bytes"),
    "long link": (
        pax(record("linkpath", "p" * 5_000)) + header(kind=b"2") + END,
        "path of 5000 bytes",
    ),
    "zero byte": (pax(record("path", "a\0b")) + header() + END, "zero byte"),
    "pax length": (pax(b"99999 path=a\n") + header() + END, "broken extended header"),
    "pax zero length": (pax(b"0 path=a\n") + header() + END, "broken extended header"),
    "pax long number": (pax(b"9" * 600) + header() + END, "broken number"),
    "pax no number": (pax(record("size", "-1")) + header() + END, "broken number"),
    "sparse gnu": (header(kind=b"S", raw=GNU_MAP) + END, f"claims {EXABYTE} bytes"),
    "sparse 0.1": (
        pax(record("GNU.sparse.map", "0,0") + record("GNU.sparse.size", str(EXABYTE)))
        + header()
        + END,
        f"claims {EXABYTE} bytes",
    ),
    "sparse 1.0": (
        pax(record("GNU.sparse.major", "1") + record("GNU.sparse.realsize", str(EXABYTE)))
        + header(size=512)
        + END,
        f"claims {EXABYTE} bytes",
    ),
    "sparse map without end": (
        pax(record("GNU.sparse.major", "1") + record("GNU.sparse.realsize", "9"))
        + header(size=4 << 20)
        + b"1" * (4 << 20)
        + END,
        "sparse file with a broken map",
    ),
    "sparse overlap": (
        pax(record("GNU.sparse.map", "0,9,5,9") + record("GNU.sparse.size", "99"))
        + header(size=18)
        + bytes(512)
        + END,
        "parts overlap",
    ),
    "sparse beyond": (
        pax(record("GNU.sparse.map", "0,512") + record("GNU.sparse.size", "99"))
        + header(size=512)
        + bytes(512)
        + END,
        "do not fit its size",
    ),
    "sparse half": (
        pax(record("GNU.sparse.map", "0,9,5") + record("GNU.sparse.size", "99")) + header() + END,
        "half a part",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("piece_bytes", [100, 1 << 20])
def test_hostile_tars_are_told_in_one_line(case: str, piece_bytes: int) -> None:
    tar, message = HOSTILE[case]
    with pytest.raises(LayerFault) as caught:
        scan(tar, piece_bytes=piece_bytes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_small_sparse_files_count_with_their_holes() -> None:
    one = pax(record("GNU.sparse.map", "0,0") + record("GNU.sparse.size", "1000000")) + header()
    assert len(scan(one * 9 + END, unpacked_bytes_max=10_000_000)) == 9
    with pytest.raises(LayerFault, match="unpacked bytes"):
        scan(one * 11 + END, unpacked_bytes_max=10_000_000)


@pytest.mark.parametrize(
    "tar",
    [
        header() * 101,
        pax(b"") * 101,
        header(kind=b"S", raw={482: b"\1", 483: b"%011o\0" % 9}) + (bytes(504) + b"\1" * 8) * 101,
    ],
    ids=["entries", "headers", "sparse maps"],
)
def test_headers_without_end_are_stopped(tar: bytes) -> None:
    with pytest.raises(LayerFault, match="more than 100 files and folders"):
        scan(tar, entries_max=100)


def test_names_are_counted() -> None:
    tar = pax(record("path", "p" * 4_000)) + header()
    with pytest.raises(LayerFault, match="more than 9,999 bytes of paths"):
        scan(tar * 3, name_bytes_max=9_999)


def test_an_endless_stream_is_stopped() -> None:
    scanner = TarScanner(make_budget(unpacked_bytes_max=5 << 20), with_digests=False)
    scanner.feed(header(size=4 << 20))
    with pytest.raises(LayerFault, match="unpacked bytes"):
        for _ in range(100):
            scanner.feed(bytes(1 << 20))


@patient
@given(st.binary(max_size=3_000), st.integers(1, 700))
def test_noise_is_refused_or_read_but_never_crashes(noise: bytes, piece_bytes: int) -> None:
    try:
        scan(noise, piece_bytes=piece_bytes)
    except LayerFault as fault:
        assert "\n" not in str(fault)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_tar_is_refused_or_read_but_never_crashes(data: st.DataObject) -> None:
    tar = bytearray(
        pax(record("path", "é") + record("GNU.sparse.map", "0,5") + record("GNU.sparse.size", "9"))
        + header(size=5)
        + bytes(512)
        + make_tar([symlink("a", "b"), ("c" * 200, b"content")], tarfile.GNU_FORMAT)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    # Checksums are mended, or nothing but them would be tested.
    for at in range(0, len(tar) - 512, 512):
        if tar[at + 257 : at + 262] == b"ustar":
            tar[at + 148 : at + 156] = b" " * 8
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + 512])
    try:
        scan(bytes(tar), unpacked_bytes_max=1 << 30)
    except LayerFault as fault:
        assert "\n" not in str(fault)


@patient
@given(st.integers(0, 8_000))
def test_a_cut_tar_gives_no_entry_that_was_not_there(end: int) -> None:
    tar = make_tar([("a", b"x" * 700), symlink("b", "a"), ("c" * 300, b"y" * 1_500)])
    try:
        found = scan(tar[:end])
    except LayerFault:
        return
    assert found == scan(tar)[: len(found)]
