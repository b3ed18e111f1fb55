"""Members of the archive: tarball and folder agree, hostile input is refused in one line."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import pytest

from pullstudy.archive.members import check_archive, list_folders, read_members
from pullstudy.errors import ArchiveMissing, ArchiveTruncated, UnsafeMember

FILES = {
    "dockerfile/data/a/x.json": b"{}",
    "dockerfile/data/a-b/x.json": b"[1]",
    "dockerfile/data/a.txt": b"names\n",
    "dockerfile/data/" + "long/" * 40 + "x.json": b"deep",
    "dockerfile/data/ünï\t'code'.json": "ü".encode(),
    "dockerfile/other.txt": b"other",
    "dockerfile/data/big.bin": bytes(range(256)) * 1000,
    "dockerfile/data/empty": b"",
}


def write_tree(root: Path) -> Path:
    for path, content in FILES.items():
        target = root / "experiments" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return root


def write_tarball(
    path: Path,
    members: Sequence[tuple[tarfile.TarInfo, bytes]],
    form: int = tarfile.PAX_FORMAT,
) -> Path:
    with tarfile.open(path, "w:gz", format=form) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def make_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def below(prefix: str) -> dict[str, bytes]:
    return {p: c for p, c in FILES.items() if p == prefix or p.startswith(f"{prefix}/")}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("top", ["chonks-1234567/experiments/", "experiments/", "./x/experiments/"])
def test_every_tarball_form_gives_the_members_below_the_prefix(
    tmp_path: Path, form: int, top: str
) -> None:
    archive = write_tarball(
        tmp_path / "a.tgz", [(make_member(top + p), c) for p, c in FILES.items()], form
    )
    assert dict(read_members(archive, ["dockerfile/data"])) == below("dockerfile/data")


@pytest.mark.parametrize("form", ["tarball", "folder"])
def test_folders_are_listed_and_parts_left_out(tmp_path: Path, form: str) -> None:
    archive = write_tree(tmp_path / "up")
    if form == "tarball":  # without members for the folders themselves
        members = [(make_member(f"top/experiments/{p}"), c) for p, c in FILES.items()]
        archive = write_tarball(tmp_path / "a.tgz", members)
    folders = {str(parent) for p in below("dockerfile") for parent in PurePosixPath(p).parents}
    assert list_folders(archive, "dockerfile") == sorted(folders - {".", "dockerfile"})
    left = dict(read_members(archive, ["dockerfile"], without=["dockerfile/data"]))
    assert left == {p: c for p, c in below("dockerfile").items() if "/data/" not in p}


@pytest.mark.parametrize("level", ["", "up", "up/experiments"])
def test_what_holds_the_study_passes(tmp_path: Path, level: str) -> None:
    write_tree(tmp_path / "up")
    check_archive(tmp_path / level)


def test_what_holds_nothing_of_the_study_is_refused(tmp_path: Path) -> None:
    archive = write_tarball(tmp_path / "a.tgz", [(make_member("top/README.md"), b"x")])
    folder = tmp_path / "other"
    folder.mkdir()
    for wrong in (archive, folder):
        with pytest.raises(ArchiveMissing, match="holds no folder 'experiments'"):
            check_archive(wrong)
    check_archive(write_tarball(tmp_path / "b.tgz", [(make_member("experiments/x"), b"x")]))


def test_posix_prefix_field_is_read(tmp_path: Path) -> None:
    name = f"{'t' * 60}/{'d' * 60}/x"
    archive = write_tarball(tmp_path / "a.tgz", [(make_member(name), b"1")], tarfile.USTAR_FORMAT)
    assert list(read_members(archive, [""])) == [(f"{'d' * 60}/x", b"1")]


def test_sizes_above_the_octal_field_are_read_as_base_256(tmp_path: Path) -> None:
    info = make_member("top/x")
    info.size = 8**11
    header = info.tobuf(tarfile.GNU_FORMAT)
    archive = tmp_path / "a.tgz"
    archive.write_bytes(gzip.compress(header + b"short"))
    with pytest.raises(ArchiveTruncated, match="ends too early at byte 512"):
        list(read_members(archive, [""]))


def test_large_members_are_whole(tmp_path: Path) -> None:
    content = bytes(range(251)) * 200_000
    archive = write_tarball(
        tmp_path / "a.tgz", [(make_member("t/a"), content), (make_member("t/b"), content + b"!")]
    )
    assert list(read_members(archive, ["b"])) == [("b", content + b"!")]
    assert dict(read_members(archive, ["a"])) == {"a": content}


@pytest.mark.parametrize("level", ["", "up", "up/experiments"])
def test_folder_at_any_level_gives_the_same(tmp_path: Path, level: str) -> None:
    write_tree(tmp_path / "up")
    assert dict(read_members(tmp_path / level, ["dockerfile/data/a", "dockerfile/other.txt"])) == {
        "dockerfile/data/a/x.json": b"{}",
        "dockerfile/other.txt": b"other",
    }


def test_partial_copy_of_experiments_under_another_name_is_recognised(tmp_path: Path) -> None:
    write_tree(tmp_path / "up")
    root = (tmp_path / "up/experiments").rename(tmp_path / "elsewhere")
    assert [path for path, _ in read_members(root, ["dockerfile/other.txt"])] == [
        "dockerfile/other.txt"
    ]


def test_folder_order_is_the_order_of_git_archive(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "repository")

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("-c", "core.precomposeunicode=false", "add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")
    archive = tmp_path / "a.tar.gz"
    git("archive", "--prefix=repository-1/", "-o", str(archive), "HEAD")
    from_tarball = list(read_members(archive, ["dockerfile"]))
    assert from_tarball == list(read_members(root, ["dockerfile"]))
    assert len(from_tarball) == len(FILES)


def test_names_that_are_not_utf8_are_kept_with_a_replacement(tmp_path: Path) -> None:
    info = make_member("top/b\udcff.json")
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(info)
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "b\udcff.json").write_bytes(b"")
    assert list(read_members(archive, [""])) == [("b\ufffd.json", b"")]
    assert list(read_members(folder, [""])) == [("b\ufffd.json", b"")]


@pytest.mark.parametrize(
    "member",
    [
        make_member("/etc/passwd"),
        make_member("top/../../etc/passwd"),
        make_member("top/a", tarfile.SYMTYPE, "/etc/passwd"),
        make_member("top/a", tarfile.SYMTYPE, "../../etc/passwd"),
        make_member("top/a", tarfile.LNKTYPE, "../etc/passwd"),
    ],
    ids=["absolute", "dots", "absolute link", "link above", "hard link above"],
)
def test_members_that_point_outside_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = write_tarball(tmp_path / "a.tgz", [(make_member("top/ok"), b"1"), (member, b"")])
    with pytest.raises(UnsafeMember, match=r"^[^\n]*outside of the archive[^\n]*$"):
        list(read_members(archive, [""]))


def test_members_that_are_no_files_are_skipped(tmp_path: Path) -> None:
    members = [
        (make_member("top/link", tarfile.SYMTYPE, "file"), b""),
        (make_member("top/pipe", tarfile.FIFOTYPE), b""),
        (make_member("top/dir", tarfile.DIRTYPE), b""),
        (make_member("top/file"), b"1"),
    ]
    archive = write_tarball(tmp_path / "a.tgz", members)
    assert list(read_members(archive, [""])) == [("file", b"1")]


def test_links_in_a_folder_are_not_followed_and_refused_when_they_leave(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "up")
    (root / "experiments/inside").symlink_to("dockerfile/other.txt")
    assert "inside" not in dict(read_members(root, [""]))
    (root / "experiments/outside").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeMember, match="outside of the archive"):
        list(read_members(root, [""]))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


def cut_inside(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content)[:2_000])


def cut_end_mark(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).rstrip(b"\0").ljust(100 * 512, b"\0")[:1024])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "ends too early at byte"),
        (flip, r"is not a sound gzip file \(CRC"),
        (cut_inside, "ends too early at byte 1536"),
        (cut_end_mark, "ends too early at byte 1024"),
        (gzip.decompress, "is not a sound gzip file"),
        (lambda _: b"<html>" * 9, "is not a sound gzip file"),
        (lambda _: b"", "ends too early at byte 0"),
        (lambda _: gzip.compress(b"no tarball" * 100), "is not a tarball"),
    ],
    ids=["cut", "crc", "cut inside", "no end mark", "not gzip", "html", "empty", "gzip of text"],
)
def test_damaged_tarballs_are_refused_in_one_line(
    tmp_path: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    archive = write_tarball(
        tmp_path / "a.tgz", [(make_member("top/a"), b"1"), (make_member("top/b"), bytes(4000))]
    )
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ArchiveTruncated, match=rf"^[^\n]*{words}[^\n]*fetch it again$"):
        list(read_members(archive, [""]))


@pytest.mark.parametrize("records", [b"x path=a\n", b"0 \n", b"9999999999999999999999 a=b\n"])
def test_broken_extended_headers_do_not_hang(tmp_path: Path, records: bytes) -> None:
    archive = write_tarball(
        tmp_path / "a.tgz",
        [(make_member("top/PaxHeaders/a", tarfile.XHDTYPE), records), (make_member("top/a"), b"1")],
        tarfile.USTAR_FORMAT,
    )
    with pytest.raises(ArchiveTruncated, match="broken extended header"):
        list(read_members(archive, [""]))


def test_a_missing_archive_and_a_wrong_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing, match="no such file or folder"):
        list(read_members(tmp_path / "none.tar.gz", [""]))
    with pytest.raises(ArchiveMissing, match="holds no folder 'experiments'"):
        list(read_members(tmp_path, ["dockerfile"]))
