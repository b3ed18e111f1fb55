"""Files by digest are whole or not there."""

import hashlib
from pathlib import Path

import pytest

from pullstudy.errors import RegistryError
from pullstudy.registry.content import ContentStore, digest_of


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_content_is_found_under_its_digest(tmp_path: Path, algorithm: str) -> None:
    store = ContentStore(tmp_path / "new")
    digits = hashlib.new(algorithm, b"text").hexdigest()
    digest = f"{algorithm}:{digits}"
    assert digest_of(b"text", digest) == digest
    assert digest not in store
    assert store.get(digest) is None
    store.put(digest, b"text")
    assert digest in store
    assert store.get(digest) == b"text"
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert files == [tmp_path / "new" / algorithm / digits]


def test_damaged_content_is_not_given(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    store.put(digest_of(b"text"), b"text")
    store.path(digest_of(b"text")).write_bytes(b"tex")
    assert store.get(digest_of(b"text")) is None


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegistryError, match="cannot keep sha256:"):
        ContentStore(tmp_path / "file").put(digest_of(b"text"), b"text")
