"""What is taken of one repository, held against a full clone of it."""

from __future__ import annotations

import fnmatch
import os
import random
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.corpus import fetch
from pullstudy.corpus.fetch import Fetched, Refused, fetch_files, is_dockerfile
from pullstudy.corpus.git import Git, Processes, Unavailable
from tests.unit.corpus.conftest import (
    LINK,
    SUBMODULE,
    Files,
    GitServer,
    commit_files,
    make_repository,
    run_git,
)

PATTERNS = ("Dockerfile*", "*.Dockerfile", "*.dockerfile", "Containerfile*")
MB = 1_000_000


def crawl(folder: Path, url: str, bytes_max: int = 100 * MB, file_max: int = MB) -> Fetched:
    folder.mkdir(exist_ok=True)
    git = Git(folder, bytes_max, 60, Processes())
    return fetch_files(git, url, is_dockerfile, file_max, bytes_max)


def fetch_made(tmp_path: Path, files: Files, *init_options: str) -> Fetched:
    repository = make_repository(tmp_path / "o/r.git", files, *init_options)
    return crawl(tmp_path / "work", f"file://{repository}")


@given(
    st.lists(
        st.sampled_from(
            ["Dockerfile", "dockerfile", "Containerfile", ".", "/", "x", ".gpu", "DOCKERFILE", "\n"]
        ),
        max_size=5,
    ).map("".join)
)
def test_names_are_those_of_the_patterns(path: str) -> None:
    name = path.rpartition("/")[2]
    expected = any(fnmatch.fnmatchcase(name, pattern) for pattern in PATTERNS)
    assert is_dockerfile(path.encode()) == expected


def draw_tree(seed: int) -> dict[bytes, bytes]:
    draw = random.Random(seed)
    names = ["Dockerfile", "Dockerfile.gpu", "a.dockerfile", "b.Dockerfile", "Containerfile"]
    names += ["README", "dockerfile", "Makefile", "DOCKERFILE", "x.Containerfile"]
    tree = {}
    for _ in range(draw.randrange(1, 60)):
        folders = [draw.choice(["a", "Dockerfile.d", "ä", "b c"]) for _ in range(draw.randrange(4))]
        tree["/".join([*folders, draw.choice(names)]).encode()] = draw.randbytes(draw.randrange(99))
    return tree


def read_clone(repository: Path, target: Path) -> list[tuple[bytes, bytes]]:
    """Clone all of it and search the files, as anybody would."""
    subprocess.run(["git", "clone", "-q", repository, target], check=True)
    found = []
    for folder, folders, names in os.walk(os.fsencode(target)):
        folders[:] = [name for name in folders if name != b".git"]
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - bytes
            if any(fnmatch.fnmatchcase(os.fsdecode(name), pattern) for pattern in PATTERNS):
                content = Path(os.fsdecode(path)).read_bytes()
                found.append((os.path.relpath(path, os.fsencode(target)), content))
    return sorted(found)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_as_from_a_full_clone(tmp_path: Path, seed: int) -> None:
    repository = make_repository(tmp_path / "o/r.git", draw_tree(seed))
    fetched = crawl(tmp_path / "work", f"file://{repository}")
    assert fetched.files == read_clone(repository, tmp_path / "clone")
    assert fetched.commit == run_git(repository, "rev-parse", "main").decode().strip()
    assert fetched.refused == []


def test_only_the_matching_files_are_fetched(tmp_path: Path) -> None:
    files = {b"d%d/%d.bin" % (i % 9, i): os.urandom(2000) for i in range(200)}
    wanted = {b"x/Dockerfile": b"FROM a", b"y/Dockerfile": b"FROM b", b"z/Dockerfile": b"FROM a"}
    fetched = fetch_made(tmp_path, files | wanted)
    assert dict(fetched.files) == wanted
    listed = run_git(
        tmp_path / "work/repository.git", "cat-file", "--batch-check", "--batch-all-objects"
    )
    kinds = [line.split()[1] for line in listed.splitlines()]
    assert kinds.count(b"blob") == 2
    assert kinds.count(b"commit") == 1


def test_requests_do_not_grow_with_the_files(tmp_path: Path, git_server: GitServer) -> None:
    make_repository(git_server.root / "many", {b"%d/Dockerfile" % i: b"%d" % i for i in range(80)})
    make_repository(git_server.root / "none", {b"README": b""})
    assert len(crawl(tmp_path / "a", git_server.url("many")).files) == 80
    assert len(git_server.requests) == 5
    assert crawl(tmp_path / "b", git_server.url("none")).files == []
    assert len(git_server.requests) == 5 + 3


def test_only_the_newest_state_counts(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": b"old", b"gone/Dockerfile": b"x"})
    commit_files(repository, {b"Dockerfile": b"new"})
    run_git(repository, "branch", "other", "main~0")
    assert crawl(tmp_path / "work", f"file://{repository}").files == [(b"Dockerfile", b"new")]


def test_a_plain_path_is_not_copied_whole(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": b"a", b"big": os.urandom(MB)})
    assert len(crawl(tmp_path / "work", str(repository)).files) == 1
    size = sum(p.stat().st_size for p in (tmp_path / "work").rglob("*") if p.is_file())
    assert size < MB / 10


def test_a_server_without_filters(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": b"a", b"b": b"c"})
    run_git(repository, "config", "uploadpack.allowFilter", "false")
    assert crawl(tmp_path / "work", f"file://{repository}").files == [(b"Dockerfile", b"a")]


def test_a_repository_with_sha256(tmp_path: Path) -> None:
    fetched = fetch_made(tmp_path, {b"Dockerfile": b"a"}, "--object-format=sha256")
    assert fetched.files == [(b"Dockerfile", b"a")]
    assert len(fetched.commit) == 64


def test_hostile_names(tmp_path: Path) -> None:
    names = [
        b"a\nb/Dockerfile",
        b"\xff\xfe/Dockerfile.\xe4",
        b'"quoted"/Dockerfile',
        b"back\\slash/Dockerfile",
        b"tab\t/Dockerfile\t",
        b"-rf/Dockerfile",
        b"$(touch x)/Dockerfile;id",
        "ü/Dockerfile €".encode(),
        b"Dockerfile\r",
        b"d" * 3000 + b"/Dockerfile",
    ]
    files = {name: b"FROM %d" % i for i, name in enumerate(names)}
    assert fetch_made(tmp_path, files).files == sorted(files.items())


def test_contents_are_kept_byte_by_byte(tmp_path: Path) -> None:
    contents = [
        b"",
        b"\0",
        b"\n",
        b"a\r\nb",
        bytes(range(256)),
        b"FROM a\n" * 1000,
        b"blob 3\nabc\n",
    ]
    files = {b"%d/Dockerfile" % i: content for i, content in enumerate(contents)}
    assert dict(fetch_made(tmp_path, files).files) == files


def test_what_only_looks_like_a_dockerfile(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 34\n"
    fetched = fetch_made(
        tmp_path,
        {
            b"Dockerfile": b"FROM a",
            b"a/Dockerfile": (LINK, b"../Dockerfile"),
            b"b/Dockerfile": (LINK, b"/etc/passwd"),
            b"c/Dockerfile": (SUBMODULE, b"1" * 40),
            b"d/Dockerfile": pointer,
            b"e/Dockerfile": pointer + b" " * 1024,
            b"f/Dockerfile": (b"100755", b"FROM x"),
        },
    )
    assert [path for path, _ in fetched.files] == [b"Dockerfile", b"e/Dockerfile", b"f/Dockerfile"]
    assert fetched.refused == [
        Refused(b"a/Dockerfile", "symlink", "to ../Dockerfile"),
        Refused(b"b/Dockerfile", "symlink", "to /etc/passwd"),
        Refused(b"c/Dockerfile", "submodule", f"commit {'1' * 40}"),
        Refused(b"d/Dockerfile", "lfs_pointer", "oid sha256:12 size 34"),
    ]


def test_a_dockerfile_of_100_mb_is_not_held_in_memory(tmp_path: Path) -> None:
    repository = make_repository(
        tmp_path / "r", {b"Dockerfile": b"#" * (100 * MB), b"Dockerfile.x": b"x"}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fetched = crawl(tmp_path / "work", f"file://{repository}")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert fetched.files == [(b"Dockerfile.x", b"x")]
    assert fetched.refused == [Refused(b"Dockerfile", "file_too_large", "100,000,000 bytes")]
    assert grown_kib < 50_000


@pytest.mark.parametrize(("length", "is_taken"), [(MB, True), (MB + 1, False)])
def test_the_longest_dockerfile(tmp_path: Path, length: int, is_taken: bool) -> None:
    fetched = fetch_made(tmp_path, {b"Dockerfile": b"\n" * length})
    assert (len(fetched.files), len(fetched.refused)) == (is_taken, not is_taken)


def test_ten_thousand_files(tmp_path: Path) -> None:
    files = {b"d%d/e%d/%d" % (i % 7, i % 101, i): b"%d" % i for i in range(9_900)}
    wanted = {b"w/%d/Dockerfile" % i: b"FROM %d" % i for i in range(100)}
    assert dict(fetch_made(tmp_path, files | wanted).files) == wanted


def reason_of(tmp_path: Path, url: str, bytes_max: int = 100 * MB) -> str:
    with pytest.raises(Unavailable) as caught:
        crawl(tmp_path / "work", url, bytes_max)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value.reason


def test_a_repository_without_commits_is_empty(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q", "--bare", "r")
    assert reason_of(tmp_path, f"file://{tmp_path}/r") == "empty"


def test_a_head_that_names_nothing(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": b""})
    run_git(repository, "symbolic-ref", "HEAD", "refs/heads/other")
    assert reason_of(tmp_path, f"file://{repository}") == "no_default_branch"


@pytest.mark.parametrize("url", ["file://{}/none", "{}/none", "file://{}", "{}"])
def test_where_there_is_no_repository(tmp_path: Path, url: str) -> None:
    assert reason_of(tmp_path, url.format(tmp_path)) == "gone"


@pytest.mark.parametrize("name", [b"Dockerfile", b"Makefile"])
def test_a_huge_repository_is_not_fetched(tmp_path: Path, name: bytes) -> None:
    # Names of folders make trees large, contents make files large; neither can be compressed.
    files = {os.urandom(16).hex().encode() + b"/" + name: os.urandom(200) for _ in range(3000)}
    repository = make_repository(tmp_path / "r", files)
    assert reason_of(tmp_path, f"file://{repository}", 100_000) == "too_large"


def test_files_that_are_large_only_unpacked(tmp_path: Path) -> None:
    files = {b"%d/Dockerfile" % i: b"%d" % i + b" " * 900_000 for i in range(5)}
    repository = make_repository(tmp_path / "r", files)
    assert reason_of(tmp_path, f"file://{repository}", 4 * MB) == "too_large"
    assert len(crawl(tmp_path / "again", f"file://{repository}", 5 * MB).files) == 5


def set_tree(repository: Path, tree: bytes) -> None:
    """Make a tree, which may be one that git itself would never make, the default branch."""
    options = ["-c", "user.name=a", "-c", "user.email=a"]
    commit = run_git(repository, *options, "commit-tree", "-m", "x", tree.decode().strip())
    run_git(repository, "update-ref", "refs/heads/main", commit.decode().strip())


def test_a_tree_without_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten folders with the same ten folders, twelve times: 10^12 files from 13 objects.
    repository = make_repository(tmp_path / "r", {b"x": b""})
    node = run_git(repository, "rev-parse", "main:x")
    description = b"100644 blob"
    for _ in range(12):
        lines = [b"%s %s\tDockerfile%d\n" % (description, node.strip(), i) for i in range(10)]
        node = run_git(repository, "mktree", stdin=b"".join(lines))
        description = b"040000 tree"
    set_tree(repository, node)
    started = time.monotonic()
    assert reason_of(tmp_path, f"file://{repository}") == "too_many_files"
    monkeypatch.setattr(fetch, "_MATCHES_MAX", 10**9)
    monkeypatch.setattr(fetch, "_ENTRIES_MAX", 200_000)
    shutil.rmtree(tmp_path / "work")
    assert reason_of(tmp_path, f"file://{repository}") == "too_many_files"
    assert time.monotonic() - started < 30


def test_a_name_without_end_is_left(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"x": b""})
    blob = bytes.fromhex(run_git(repository, "rev-parse", "main:x").decode())
    content = b"100644 Dockerfile%s\0%s" % (b"a" * 200_000, blob)
    write = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    set_tree(repository, run_git(repository, *write, stdin=content))
    assert reason_of(tmp_path, f"file://{repository}") == "too_large"


def test_a_repository_that_lost_an_object(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", {b"Dockerfile": b"FROM a", b"b/Dockerfile": b"b"})
    object_id = run_git(repository, "rev-parse", "main:Dockerfile").decode().strip()
    (repository / "objects" / object_id[:2] / object_id[2:]).unlink()
    assert reason_of(tmp_path, f"file://{repository}") in ("git_error", "unreachable")
