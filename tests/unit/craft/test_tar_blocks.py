import io
import tarfile

import pytest

from pullstudy.craft import tar_blocks


@pytest.mark.parametrize("size", [0, 1, 511, 512, 8**11 - 1, 8**11, 10_000_000_000, 10**13])
def test_the_standard_library_reads_the_header(size: int) -> None:
    header = tar_blocks.file_header("crafted/000-0123456789abcdef/00000", size, 0o755)
    assert len(header) == tar_blocks.header_bytes(size)
    with tarfile.open(fileobj=io.BytesIO(header + tar_blocks.END_OF_ARCHIVE)) as archive:
        member = archive.next()
    assert member is not None
    assert (member.name, member.size, member.mode) == (
        "crafted/000-0123456789abcdef/00000", size, 0o755,
    )  # fmt: skip
    assert (member.uid, member.gid, member.mtime, member.isreg()) == (0, 0, 0, True)


def test_a_header_is_what_tarfile_writes() -> None:
    member = tarfile.TarInfo("a/b")
    member.size, member.mode = 12345, 0o644
    ours = tar_blocks.file_header("a/b", 12345, 0o644)
    theirs = member.tobuf(tarfile.USTAR_FORMAT)
    # Device numbers may be written as zeros or left empty: fields 329 to 345, and the checksum.
    assert ours[:148] + ours[156:329] == theirs[:148] + theirs[156:329]
    assert ours[345:] == theirs[345:]


def test_a_long_path_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        tar_blocks.file_header("x" * 101, 0, 0o644)
