"""The files of the published archive, the same from a tarball and from a folder."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pullstudy.archive.tarball import list_tarball_folders, read_tarball
from pullstudy.errors import ArchiveMissing, UnsafeMember

_EXPERIMENTS = b"experiments"
# What lies in it; some copies leave the folder itself out.
_PARTS = frozenset((_EXPERIMENTS, b"dockerfile", b"pulling", b"pulling-test", b"similarity"))


def check_archive(archive: Path) -> None:
    """Refuse what holds nothing of the study, before a study without any data comes out of it.

    Raises as `read_members` does.
    """
    if archive.is_dir():
        _find_experiments(archive, sorted(_PARTS))
        return

    def is_known(name: bytes) -> bool:
        return not _PARTS.isdisjoint(name.removeprefix(b"./").split(b"/", 2)[:2])

    for _ in read_tarball(archive, is_known):
        return
    raise _without_experiments(archive)


def read_members(
    archive: Path, prefixes: Sequence[str], without: Sequence[str] = ()
) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of all regular files at or below one of the prefixes.

    without: prefixes of what is left out all the same.

    archive: a gzip-compressed tarball, or a folder: the one that holds `experiments/`, its parent,
    or `experiments` itself. Paths are relative to `experiments/`, with `/`; bytes that are not
    UTF-8 are replaced by U+FFFD. Order: as stored in a tarball; a folder is read in the order in
    which git, and so GitHub's tarballs, stores it. Nothing is written, no link is followed.
    Raises ArchiveMissing, ArchiveTruncated or UnsafeMember.
    """
    chosen = _Selection(_encode(prefixes), _encode(without))
    if archive.is_dir():
        members = _read_folder(_find_experiments(archive, chosen.wanted), chosen)
    elif archive.exists():
        members = _read_tarball(archive, chosen)
    else:
        raise ArchiveMissing(f"{archive}: no such file or folder; check the archive's path")
    for path, content in members:
        yield path.decode("utf-8", "replace"), content


def read_ahead(members: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield the same members, each read and inflated while the one before it is worked on.

    Worth its thread where files are large.
    """
    with ThreadPoolExecutor(1) as reader:
        member = reader.submit(next, members, None)
        while (found := member.result()) is not None:
            member = reader.submit(next, members, None)
            yield found


def list_folders(archive: Path, prefix: str) -> list[str]:
    """List the folders below a prefix, also those that hold nothing, sorted.

    archive, paths and errors: as `read_members`.
    """
    wanted = _encode([prefix])
    if archive.is_dir():
        root = _find_experiments(archive, wanted)
        found = (path for path in (root / prefix).rglob("*") if path.is_dir())
        return sorted(path.relative_to(root).as_posix() for path in found)
    names: set[bytes] = set()
    for name in map(_strip_top, list_tarball_folders(archive)):
        while _is_below(name, wanted) and name != wanted[0] and name not in names:
            names.add(name)
            name = posixpath.dirname(name)
    return sorted(name.decode("utf-8", "replace") for name in names)


class _Selection(NamedTuple):
    """Which files are read, by prefixes of their paths."""

    wanted: Sequence[bytes]
    unwanted: Sequence[bytes]

    def takes(self, path: bytes) -> bool:
        """Whether a file is read, or all of a folder may be."""
        return _is_below(path, self.wanted) and not _is_below(path, self.unwanted)

    def enters(self, folder: bytes) -> bool:
        """Whether something in a folder may be read."""
        return self.takes(folder) or any(p.startswith(folder + b"/") for p in self.wanted)


def _encode(prefixes: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(prefix.strip("/").encode() for prefix in prefixes)


def _read_tarball(archive: Path, chosen: _Selection) -> Iterator[tuple[bytes, bytes]]:
    def is_wanted(name: bytes) -> bool:
        return chosen.takes(_strip_top(name))

    for name, content in read_tarball(archive, is_wanted):
        yield _strip_top(name), content


def _strip_top(name: bytes) -> bytes:
    """Take off the one top folder of a GitHub tarball, and `experiments/`."""
    top, slash, rest = name.removeprefix(b"./").partition(b"/")
    if not slash:
        return top
    return rest if top == _EXPERIMENTS else rest.removeprefix(_EXPERIMENTS + b"/")


def _is_below(path: bytes, prefixes: Sequence[bytes]) -> bool:
    return any(
        not prefix or path == prefix or path.startswith(prefix + b"/") for prefix in prefixes
    )


def _find_experiments(folder: Path, wanted: Sequence[bytes]) -> Path:
    for found in ([folder / "experiments"], sorted(folder.glob("*/experiments"))):
        if len(found) == 1 and found[0].is_dir():
            return found[0]
    tops = [os.fsdecode(prefix.partition(b"/")[0]) for prefix in wanted]
    if folder.resolve().name == "experiments" or any((folder / top).exists() for top in tops):
        return folder
    raise _without_experiments(folder)


def _without_experiments(archive: Path) -> ArchiveMissing:
    return ArchiveMissing(
        f"{archive}: holds no folder 'experiments'; point to the unpacked archive or its tarball"
    )


def _read_folder(root: Path, chosen: _Selection) -> Iterator[tuple[bytes, bytes]]:
    top = os.path.realpath(os.fsencode(root))
    for path in _walk(top, b"", chosen):
        try:
            with open(os.path.join(top, path), "rb") as file:  # noqa: PTH118, PTH123 - bytes path
                yield path, file.read()
        except OSError as exc:
            raise _unreadable(top, path, exc) from exc


def _walk(top: bytes, folder: bytes, chosen: _Selection) -> Iterator[bytes]:
    try:
        with os.scandir(os.path.join(top, folder)) as found:  # noqa: PTH118 - bytes path
            entries = sorted(found, key=_git_order)
    except OSError as exc:
        raise _unreadable(top, folder, exc) from exc
    for entry in entries:
        path = folder + b"/" + entry.name if folder else entry.name
        if entry.is_symlink():
            _refuse_outside(top, path)
        elif entry.is_dir(follow_symlinks=False):
            if chosen.enters(path):
                yield from _walk(top, path, chosen)
        elif entry.is_file(follow_symlinks=False) and chosen.takes(path):
            yield path


def _git_order(entry: os.DirEntry[bytes]) -> bytes:
    """Git sorts a folder's entries as bytes, folders as if their name ended in a slash."""
    return entry.name + b"/" if entry.is_dir(follow_symlinks=False) else entry.name


def _refuse_outside(top: bytes, path: bytes) -> None:
    target = os.path.realpath(os.path.join(top, path))  # noqa: PTH118 - bytes path
    if target != top and not target.startswith(top + b"/"):
        raise UnsafeMember(
            f"{os.fsdecode(top)}: {path.decode('utf-8', 'replace')!r} links to a place outside of "
            "the archive; remove the link"
        )


def _unreadable(top: bytes, path: bytes, exc: OSError) -> ArchiveMissing:
    shown = (top + b"/" + path).decode("utf-8", "replace")
    return ArchiveMissing(f"{shown}: cannot be read ({exc.strerror}); check its permissions")
