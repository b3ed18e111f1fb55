"""The journal survives being cut off at any byte."""

from pathlib import Path

import pytest

from pullstudy.errors import RegistryError
from pullstudy.registry.journal import Failure, ImageRecord, Journal, Listed, TagRecord

NAME = "docker.io/library/ubuntu"
AMD64 = ["linux/amd64"]
RECORDS = [
    TagRecord("a", "sha256:1", "type", (ImageRecord("sha256:1", "type", "sha256:2"),)),
    TagRecord("b", failures=(Failure("not_found", "gone", 404),)),
    TagRecord("c", failures=(Failure("stalled", "…", mendable=True),)),
]


def write(folder: Path, platforms: list[str] = AMD64) -> Path:
    journal = Journal(folder, NAME, platforms)
    journal.add(Listed(("a", "b", "c")))
    for record in RECORDS:
        journal.add(record)
    journal.close()
    (path,) = folder.glob("*.jsonl")
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    journal = Journal(tmp_path, NAME, AMD64)
    assert journal.listed == Listed(("a", "b", "c"))
    assert journal.is_listed
    assert list(journal.records()) == RECORDS
    assert [record.is_final for record in RECORDS] == [True, True, False]
    assert RECORDS[0].digests == ["sha256:1", "sha256:1", "sha256:2"]


def test_a_journal_cut_at_any_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    content = write(tmp_path).read_bytes()
    for end in range(len(content) + 1):
        folder = tmp_path / str(end)
        folder.mkdir()
        path = folder / next(tmp_path.glob("*.jsonl")).name
        path.write_bytes(content[:end])
        journal = Journal(folder, NAME, AMD64)
        whole = content[:end].count(b"\n")
        assert journal.is_listed == (whole >= 2)
        assert list(journal.records()) == RECORDS[: max(0, whole - 2)]
        journal.add(RECORDS[0])
        journal.close()
        again = Journal(folder, NAME, AMD64)
        assert again.get("a") == RECORDS[0]
        assert len(list(again.records())) == len(
            {r.tag for r in RECORDS[: max(0, whole - 2)]} | {"a"}
        )


def test_lines_of_other_platforms_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, ["linux/arm64"])
    assert list(Journal(tmp_path, NAME, AMD64).records()) == []
    write(tmp_path)
    assert len(list(Journal(tmp_path, NAME, AMD64).records())) == 3
    assert len(list(Journal(tmp_path, NAME, ["linux/arm64"]).records())) == 3


def test_the_last_word_counts(tmp_path: Path) -> None:
    write(tmp_path)
    journal = Journal(tmp_path, NAME, AMD64)
    journal.add(TagRecord("c", "sha256:3"))
    journal.close()
    assert Journal(tmp_path, NAME, AMD64).get("c") == TagRecord("c", "sha256:3")


def test_a_listing_that_failed_for_now_is_not_the_list(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NAME, AMD64)
    journal.add(Listed(("a",), Failure("stalled", "…", mendable=True)))
    assert not journal.is_listed
    journal.add(Listed(("a",), Failure("endless_pages", "…")))
    assert journal.is_listed


def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[2:]]))
    with pytest.raises(RegistryError, match="line 3 is damaged"):
        Journal(tmp_path, NAME, AMD64)


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "folder", NAME, AMD64)
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(RegistryError, match="cannot be written"):
        journal.add(RECORDS[0])
