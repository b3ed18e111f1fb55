"""Unpacked layers are what GNU tar makes of them."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from pullstudy.errors import ImageError
from pullstudy.pulls.unpacking import unpack_layer
from pullstudy.registry.content import digest_of
from tests.unit.pulls.conftest import PACK, make_tar


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files as layers hold them: modes, links, an empty folder, names of all kinds, holes."""
    top = tmp_path / "tree"
    (top / "usr/bin").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o700)
    (top / "usr/bin/tool").write_bytes(os.urandom(300_000))
    (top / "usr/bin/tool").chmod(0o755)
    (top / "usr/bin/same").hardlink_to(top / "usr/bin/tool")
    (top / "bin").symlink_to("usr/bin")
    (top / "absolute").symlink_to("/etc/passwd")
    (top / ("long" * 60)).write_text("x")
    (top / "ünicode ☃").write_text("y")
    (top / ".wh.gone").touch()
    # Long ago, so that a time that is not taken over is seen.
    for path in [*top.rglob("*"), top]:
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return top


def list_tree(top: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        links = status.st_nlink if path.is_file() else None
        found[str(path.relative_to(top))] = (status.st_mode, int(status.st_mtime), links, content)
    return found


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_it_unpacks_what_tar_packs(tree: Path, tmp_path: Path, compression: str, form: str) -> None:
    tar = subprocess.run(
        ["tar", "--format", form, "-C", tree, "-c", "."], capture_output=True, check=True
    ).stdout
    blob = tmp_path / "blob"
    blob.write_bytes(PACK[compression](tar))
    unpacked = unpack_layer(blob, tmp_path / "out", digest_of(tar))
    assert unpacked.uncompressed_bytes == len(tar)
    assert unpacked.decompress_seconds > 0 and unpacked.unpack_seconds > 0
    assert list_tree(tmp_path / "out") == list_tree(tree)


def test_many_members_and_frames_are_one_tar(tmp_path: Path) -> None:
    """eStargz and zstd:chunked are made so."""
    tar = make_tar({"a": b"a" * 5000, "b": b"b" * 70_000})
    parts = [tar[:1000], tar[1000:9000], tar[9000:]]
    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    blobs = {
        "gzip": b"".join(map(gzip.compress, parts)),
        "zstd": skippable + b"".join(map(zstandard.ZstdCompressor().compress, parts)) + skippable,
    }
    for name, content in blobs.items():
        (tmp_path / name).write_bytes(content)
        unpack_layer(tmp_path / name, tmp_path / f"out-{name}", digest_of(tar))
        assert (tmp_path / f"out-{name}/b").read_bytes() == b"b" * 70_000


def test_a_hard_link_into_a_lower_layer_is_copied_up(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("new/name")
        member.type, member.linkname = tarfile.LNKTYPE, "old/name"
        archive.addfile(member)
    (tmp_path / "blob").write_bytes(buffer.getvalue())
    below = tmp_path / "below"
    (below / "old").mkdir(parents=True)
    (below / "old/name").write_text("content")
    unpack_layer(tmp_path / "blob", tmp_path / "out", None, [below])
    assert (tmp_path / "out/new/name").read_text() == "content"


@pytest.mark.parametrize("name", ["../outside", "a/../../outside"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "blob").write_bytes(make_tar({name: b"x"}))
    with pytest.raises(ImageError, match="damaged"):
        unpack_layer(tmp_path / "blob", tmp_path / "out/layer", None)
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize("compression", PACK)
def test_every_cut_is_noticed(tmp_path: Path, compression: str) -> None:
    tar = make_tar({"a": os.urandom(3000)})
    whole = PACK[compression](tar)
    for number, end in enumerate(range(0, len(whole), len(whole) // 25)):
        (tmp_path / "blob").write_bytes(whole[:end])
        with pytest.raises(ImageError):
            unpack_layer(tmp_path / "blob", tmp_path / f"out{number}", digest_of(tar))
