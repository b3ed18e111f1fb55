from pathlib import Path

import pytest

from pullstudy.craft.journal import Journal, default_journal_path
from pullstudy.craft.stream import Blob
from pullstudy.errors import CraftError

BLOB = Blob("type", "sha256:a", 5, "sha256:b", 7, {"key": "value"})


def test_blobs_and_uploads_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "journal.jsonl"
    journal = Journal(path)
    journal.keep_upload("host/a", "recipe", "/upload/1")
    journal.keep_upload("host/a", "recipe", "/upload/2")
    journal.keep_upload("host/b", "recipe", "/upload/3")
    journal.keep_upload("host/a", "other", "/upload/4")
    journal.keep_blob("host/b", "recipe", BLOB)
    again = Journal(path)
    assert again.find_upload("host/a", "recipe") == "/upload/2"
    assert again.find_upload("host/b", "recipe") is None
    assert again.find_upload("host/a", "other") == "/upload/4"
    assert again.find_blob("recipe") == BLOB
    assert again.repositories("recipe") == {"host/b"}
    assert again.find_blob("other") is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).keep_blob("host/a", "recipe", BLOB)
    text = path.read_bytes()
    path.write_bytes(text[:-20] + b"\n" + text + b'{"recipe": 5}\n[]\n' + text[: len(text) // 2])
    torn = Journal(path)
    assert torn.find_blob("recipe") == BLOB
    torn.keep_blob("host/a", "next", BLOB)
    assert Journal(path).find_blob("next") == BLOB


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.keep_blob("host/a", "recipe", BLOB)
    size = path.stat().st_size
    journal.keep_blob("host/a", "recipe", BLOB)
    assert path.stat().st_size == size


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CraftError, match="choose another file with --journal"):
        Journal(tmp_path / "file" / "journal.jsonl")


def test_it_lies_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_journal_path() == tmp_path / "pullstudy" / "craft.jsonl"
