"""Layers over each other: as the specification says, as umoci unpacks them, and hostile ones."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.bases.entries import FIFO, FILE, FOLDER, HARDLINK, SYMLINK, Entry
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.limits import Budget, ReadLimits
from pullstudy.bases.tar_scanner import TarScanner
from pullstudy.bases.tree import FileTree
from tests.conftest import skip_or_fail
from tests.unit.bases.conftest import (
    digest_of,
    folder,
    hardlink,
    layer_of,
    make_budget,
    make_image,
    make_tar,
    member,
    symlink,
    write_layout,
)

Members = list[Any]


def file(path: str, content: str = "") -> Entry:
    return Entry(path, FILE, content=content)


def link(path: str, target: str) -> Entry:
    return Entry(path, SYMLINK, content=target)


def tree_of(*layers: list[Entry], **limits: Any) -> FileTree:
    tree = FileTree(make_budget(**limits))
    for layer in layers:
        tree.apply(layer)
    return tree


def contents_of(tree: FileTree) -> dict[str, str | None]:
    return {found.path: found.entry.content for found in tree.files()}


def paths_of(*layers: list[Entry]) -> list[str]:
    return list(contents_of(tree_of(*layers)))


def test_files_of_all_layers_the_upper_one_first() -> None:
    tree = tree_of([file("a/b", "1"), file("./c", "1")], [file("/a/b", "2"), file("d//e/", "2")])
    assert contents_of(tree) == {"/a/b": "2", "/c": "1", "/d/e": "2"}


def test_a_whiteout_hides_what_is_below_it() -> None:
    lower = [file("a/b"), file("a/c/d"), file("e")]
    assert paths_of(lower, [file("a/.wh.b")]) == ["/a/c/d", "/e"]
    assert paths_of(lower, [file(".wh.a")]) == ["/e"]
    assert paths_of(lower, [file(".wh.nothing"), file("no/.wh.thing"), file("e/.wh.x")]) == [
        "/a/b",
        "/a/c/d",
        "/e",
    ]


@pytest.mark.parametrize("is_first", [True, False])
def test_whiteouts_spare_their_own_layer(is_first: bool) -> None:
    lower = [file("a/old"), file("a/both", "1"), file("b/old")]
    upper = [file("a/both", "2"), file("a/new")]
    for whiteout in ("a/.wh..wh..opq", ".wh.a"):
        layer = [file(whiteout), *upper] if is_first else [*upper, file(whiteout)]
        assert contents_of(tree_of(lower, layer)) == {"/a/both": "2", "/a/new": "", "/b/old": ""}


def test_an_opaque_root_hides_everything() -> None:
    assert paths_of([file("a"), file("b/c")], [file(".wh..wh..opq"), file("d")]) == ["/d"]


def test_what_aufs_kept_for_itself_is_no_file() -> None:
    aufs = [file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs"), file("a/.wh..wh.orph/.wh.b")]
    assert paths_of([file("a/b")], aufs) == ["/a/b"]


def test_files_and_folders_take_each_others_place() -> None:
    assert paths_of([file("a/b")], [file("a")]) == ["/a"]
    assert paths_of([file("a")], [Entry("a", FOLDER), file("a/b")]) == ["/a/b"]
    assert paths_of([file("a/b")], [Entry("a", FOLDER)]) == ["/a/b"]
    assert paths_of([link("a", "b"), file("b/c")], [Entry("a", FOLDER), file("a/d")]) == [
        "/a/d",
        "/b/c",
    ]


def test_parents_that_are_links_are_followed_inside_of_the_image() -> None:
    lower = [Entry("usr/lib", FOLDER), link("lib", "usr/lib"), link("abs", "/usr/../../../usr")]
    upper = [file("lib/x"), file("abs/lib/y"), file("abs/../z")]
    assert paths_of(lower, upper) == ["/abs", "/lib", "/usr/lib/x", "/usr/lib/y", "/z"]
    assert paths_of([link("dangling", "to/here"), file("dangling/x")]) == [
        "/dangling",
        "/to/here/x",
    ]


def test_links_out_of_the_image_stay_in_it() -> None:
    escape = [link("out", "../../../../etc"), file("out/passwd"), link("root", "/"), file("root/x")]
    assert paths_of(escape) == ["/etc/passwd", "/out", "/root", "/x"]


def test_hard_links_are_the_file() -> None:
    hard = Entry("b/c", HARDLINK, content="./a")
    tree = tree_of([file("a", "content")], [hard], [file(".wh.a")])
    assert contents_of(tree) == {"/b/c": "content"}


def test_links_to_folders_are_told_from_links_to_files() -> None:
    entries = [
        Entry("usr/bin", FOLDER),
        file("usr/bin/sh"),
        link("bin", "usr/bin"),
        link("usr/up", "../usr/./bin"),
        link("sh", "bin/sh"),
        link("absolute", "/usr"),
        link("nowhere", "else"),
        link("circle", "circle"),
    ]
    found = {found.path: found.is_to_folder for found in tree_of(entries).files()}
    assert [path for path, is_to_folder in found.items() if is_to_folder] == ["/bin", "/usr/up"]


HOSTILE = {
    "outside": ([file("../etc/passwd")], "outside of the image: '../etc/passwd'"),
    "outside later": ([file("a/../../b")], "outside of the image"),
    "hard link outside": (
        [file("a"), Entry("b", HARDLINK, content="../../etc/shadow")],
        "outside of the image",
    ),
    "hard link to nothing": ([Entry("b", HARDLINK, content="a")], "links '/b' to '/a'"),
    "hard link to a folder": (
        [file("a/b"), Entry("c", HARDLINK, content="a")],
        "links '/c' to '/a'",
    ),
    "hard link to the root": ([Entry("c", HARDLINK, content=".")], "links '/c' to '/'"),
    "circle": ([link("a", "b"), link("b", "a"), file("a/x")], "links in a circle"),
    "growing circle": ([link("a", "a/a/a"), file("a/x")], "links in a circle"),
    "below a file": ([file("a"), file("a/b")], "puts a file below '/a'"),
    "whiteout of nothing": ([file("a/.wh.")], "the whiteout '/a/.wh.'"),
    "whiteout of itself": ([file("a/x"), file("a/.wh..")], "the whiteout '/a/.wh..'"),
    "whiteout of its parent": ([file("a/x"), file("a/.wh...")], "the whiteout '/a/.wh...'"),
    "root as a file": ([file("./")], "makes its root a file"),
    "root as a link": ([link("a/..", "/etc")], "makes its root a symlink"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_no_runtime_unpacks_is_refused_in_one_line(case: str) -> None:
    entries, message = HOSTILE[case]
    with pytest.raises(LayerFault) as caught:
        tree_of([Entry("a", FOLDER)] if "whiteout" in case else [], entries)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_on_the_way_count() -> None:
    deep = "/".join("d" * 2_000)
    tree_of([file(deep)], entries_max=2_000)
    with pytest.raises(LayerFault, match="more than 1,000 files and folders"):
        tree_of([file(deep)], entries_max=1_000)


def test_a_deep_tree_is_no_deep_recursion() -> None:
    deep = "/".join("d" * 2_040)
    assert paths_of([file(deep)], [file("d/.wh..wh..opq"), file("e")]) == ["/e"]


def test_time_is_limited() -> None:
    clock = iter(range(10_000))
    budget = Budget(ReadLimits(seconds_max=50.0), lambda: float(next(clock)))
    with pytest.raises(LayerFault, match="more than 50 seconds"):
        FileTree(budget).apply([file(str(number)) for number in range(100)])


names = st.sampled_from(["a", "b", "c"])
some_paths = st.lists(names, min_size=1, max_size=3).map("/".join)
additions = st.lists(st.tuples(some_paths, st.sampled_from([FILE, FOLDER, FIFO])), max_size=5)
whiteouts = st.lists(st.tuples(some_paths, st.booleans()), max_size=3)


def apply_by_the_specification(
    state: dict[str, str], hidden: list[tuple[str, bool]], added: list[tuple[str, str]]
) -> dict[str, str]:
    """What the specification says, on a dictionary of paths: whiteouts first, then additions."""
    state = dict(state)
    for path, is_opaque in hidden:
        for known in list(state):
            if known.startswith(f"{path}/") or (known == path and not is_opaque):
                del state[known]
    for path, kind in added:
        parts = path.split("/")
        for count in range(1, len(parts)):
            state["/".join(parts[:count])] = FOLDER
        if kind != FOLDER:
            for known in [known for known in state if known.startswith(f"{path}/")]:
                del state[known]
        state[path] = kind
    return state


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(whiteouts, additions), min_size=1, max_size=4), st.randoms())
def test_any_layers_by_the_specification(
    layers: list[tuple[list[tuple[str, bool]], list[tuple[str, str]]]], order: Any
) -> None:
    tree = FileTree(make_budget())
    state: dict[str, str] = {}
    for hidden, added in layers:
        # A folder is opaque where it is one, not where a file is.
        hidden = [(p, opaque) for p, opaque in hidden if not opaque or state.get(p) == FOLDER]
        marks = [file(_whiteout(path, opaque)) for path, opaque in hidden]
        entries = [Entry(path, kind) for path, kind in added]
        for mark in marks:
            entries.insert(order.randint(0, len(entries)), mark)
        try:
            tree.apply(entries)
        except LayerFault:
            return  # a file below a file: the specification has nothing to say
        state = apply_by_the_specification(state, hidden, added)
    assert {found.path[1:]: found.entry.kind for found in tree.files()} == {
        path: kind for path, kind in state.items() if kind != FOLDER
    }


def _whiteout(path: str, is_opaque: bool) -> str:
    head, _, name = path.rpartition("/")
    return f"{path}/.wh..wh..opq" if is_opaque else f"{head}/.wh.{name}"


LAYERS: list[Members] = [
    [
        folder("usr"),
        folder("usr/lib"),
        ("usr/lib/libc.so", b"libc"),
        symlink("lib", "usr/lib"),
        hardlink("usr/lib/libc.so.6", "usr/lib/libc.so"),
        symlink("etc", "/usr/etc"),
        folder("usr/etc"),
        ("usr/etc/passwd", b"root"),
        ("var/cache/a", b"1"),
        ("var/cache/b/c", b"2"),
        ("var/log/old", b"3"),
        ("tmp/x", b"4"),
        member("pipe", tarfile.FIFOTYPE),
    ],
    [
        ("lib/libm.so", b"libm"),
        ("var/cache/.wh.a", b""),
        folder("var/log"),
        ("var/log/.wh..wh..opq", b""),
        ("var/log/new", b"5"),
        (".wh.tmp", b""),
        folder("tmp"),
        ("tmp/y", b"6"),
        symlink("up", "../../../usr"),
    ],
    [
        folder("up"),
        ("up/here", b"7"),
        ("var/cache/b", b"now a file"),
        (".wh.pipe", b""),
        hardlink("libm", "usr/lib/libm.so"),
    ],
]


@pytest.mark.integration
def test_umoci_unpacks_the_same_files(tmp_path: Path) -> None:
    umoci = shutil.which("umoci")
    if umoci is None:
        skip_or_fail("umoci is not installed: apt-get install umoci")
    config = {"config": {}, "created": "2024-11-21T10:00:00Z", "history": []}
    image = make_image(*(layer_of(*members) for members in LAYERS), **config)
    write_layout(tmp_path / "layout", {"t": image})
    bundle = tmp_path / "bundle"
    command = [str(umoci), "unpack", "--rootless", "--image", f"{tmp_path}/layout:t", str(bundle)]
    subprocess.run(command, check=True, capture_output=True)
    tree = FileTree(make_budget())
    for members in LAYERS:
        scanner = TarScanner(make_budget(), with_digests=True)
        scanner.feed(make_tar(members))
        tree.apply(scanner.finish())
    found = {f.path: (f.entry.kind, f.entry.content) for f in tree.files()}
    assert found == _walk(bundle / "rootfs")
    assert len(found) > 10


def _walk(root: Path) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    for folder_name, folders, files in os.walk(root):
        for name in (*files, *folders):
            path = Path(folder_name) / name
            key = f"/{path.relative_to(root)}"
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[key] = (SYMLINK, str(path.readlink()))
            elif stat.S_ISREG(mode):
                found[key] = (FILE, digest_of(path.read_bytes()))
            elif stat.S_ISFIFO(mode):
                found[key] = (FIFO, None)
    return found
