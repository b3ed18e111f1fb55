"""The cache gives back what it was given, whatever cuts or damages its files."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.errors import RegistryError
from pullstudy.registry import cache as cache_module
from pullstudy.registry.cache import ContentCache, TagMemory, file_name_of
from pullstudy.registry.content import digest_of

CONTENTS = [b"", b"text", b"two\nlines\n", os.urandom(3000), b"sha256:00 5\n"]


def fill(folder: Path, contents: list[bytes]) -> Path:
    cache = ContentCache(folder)
    for content in contents:
        cache.put(digest_of(content), content)
    cache.close()
    return max(folder.glob("*.pack"))


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_content_is_found_under_its_digest_now_and_later(tmp_path: Path, algorithm: str) -> None:
    cache = ContentCache(tmp_path / "new")
    digests = {f"{algorithm}:{hashlib.new(algorithm, c).hexdigest()}": c for c in CONTENTS}
    for digest, content in digests.items():
        assert digest not in cache
        assert cache.get(digest) is None
        cache.put(digest, content)
    for again in (cache, ContentCache(tmp_path / "new")):
        assert all(digest in again for digest in digests)
        assert {digest: again.get(digest) for digest in digests} == digests
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_folder_is_not_made_before_there_is_something_to_keep(tmp_path: Path) -> None:
    ContentCache(tmp_path / "new").close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_at_any_byte_keeps_its_whole_records(tmp_path: Path) -> None:
    contents = CONTENTS[:3]
    path = fill(tmp_path / "whole", contents)
    whole = path.read_bytes()
    ends = [whole.index(f"{digest_of(c)} ".encode()) for c in contents[1:]] + [len(whole)]
    for cut in range(len(whole) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / path.name).write_bytes(whole[:cut])
        cache = ContentCache(folder)
        kept = [content for content in contents if digest_of(content) in cache]
        assert kept == contents[: sum(end <= cut for end in ends)]
        assert all(cache.get(digest_of(content)) == content for content in kept)


def test_harvests_that_share_a_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    caches = [ContentCache(tmp_path) for _ in range(3)]
    for number in range(20):
        for cache in caches:
            content = f"{number} of {caches.index(cache) * (number % 2)}".encode()
            cache.put(digest_of(content), content)
    everything = ContentCache(tmp_path)
    for number in range(20):
        for writer in range(3):
            content = f"{number} of {writer * (number % 2)}".encode()
            assert everything.get(digest_of(content)) == content


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_damage_is_noticed_forgotten_and_mended(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    path = fill(folder, CONTENTS)
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    cache = ContentCache(folder)
    lost = [content for content in CONTENTS if cache.get(digest_of(content)) != content]
    assert all(digest_of(content) not in cache for content in lost)
    cache.close()
    again = ContentCache(folder)
    assert all(digest_of(content) not in again for content in lost), "it is forgotten for good"
    for content in lost:
        again.put(digest_of(content), content)
    again.close()
    mended = ContentCache(folder)
    assert all(mended.get(digest_of(content)) == content for content in CONTENTS)


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegistryError, match="cannot be written"):
        ContentCache(tmp_path / "file").put(digest_of(b"text"), b"text")


def test_a_write_that_fails_half_way_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ContentCache(tmp_path)
    cache.put(digest_of(b"one"), b"one")
    write = os.pwrite

    def write_half(handle: int, data: bytes, offset: int) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return write(handle, data[: len(data) // 2], offset)

    with monkeypatch.context() as patched:
        patched.setattr(cache_module.os, "pwrite", write_half)
        with pytest.raises(RegistryError, match="No space left"):
            cache.put(digest_of(b"two" * 100), b"two" * 100)
    cache.put(digest_of(b"three"), b"three")
    for known in (cache, ContentCache(tmp_path)):
        assert known.get(digest_of(b"one")) == b"one"
        assert known.get(digest_of(b"three")) == b"three"
        assert digest_of(b"two" * 100) not in known


def test_more_files_than_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_OPEN_FILES_MAX", 3)
    contents = [str(number).encode() for number in range(10)]
    for content in contents:
        fill(tmp_path, [content])
    cache = ContentCache(tmp_path)
    for content in contents:
        cache.put(digest_of(content + b"!"), content + b"!")
        assert cache.get(digest_of(content)) == content
        assert cache.get(digest_of(content + b"!")) == content + b"!"


def test_a_cleared_folder_is_an_empty_cache(tmp_path: Path) -> None:
    path = fill(tmp_path, [b"text"])
    cache = ContentCache(tmp_path)
    path.unlink()
    assert cache.get(digest_of(b"text")) is None
    assert digest_of(b"text") not in cache


def test_the_memory_of_tags_outlives_damage(tmp_path: Path) -> None:
    memory = TagMemory(tmp_path / "new")
    assert memory.load("docker.io/library/ubuntu") == {}
    memory.save("docker.io/library/ubuntu", {"latest": "sha256:1"})
    assert memory.load("docker.io/library/ubuntu") == {"latest": "sha256:1"}
    assert memory.load("docker.io/library/debian") == {}
    for damaged in (b"{", b"[]"):
        next((tmp_path / "new").glob("*.json")).write_bytes(damaged)
        assert memory.load("docker.io/library/ubuntu") == {}


@given(st.lists(st.text("ab/:.-_", min_size=1, max_size=300), unique=True, max_size=5))
def test_file_names_are_short_safe_and_differ(repositories: list[str]) -> None:
    names = [file_name_of(repository, "json") for repository in repositories]
    assert len(set(names)) == len(repositories)
    assert all(len(name) < 150 and "/" not in name for name in names)
