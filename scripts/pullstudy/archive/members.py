"""The files of the published archive, the same from a tarball and from a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pullstudy.archive.tarball import list_tarball_folders, read_tarball
from pullstudy.errors import ArchiveMissing, UnsafeMember

_EXPERIMENTS = b"experiments"


def read_members(archive: Path, prefixes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of all regular files at or below one of the prefixes.

    archive: a gzip-compressed tarball, or a folder: the one that holds `experiments/`, its parent,
    or `experiments` itself. Paths are relative to `experiments/`, with `/`; bytes that are not
    UTF-8 are replaced by U+FFFD. Order: as stored in a tarball; a folder is read in the order in
    which git, and so GitHub's tarballs, stores it. Nothing is written, no link is followed.
    Raises ArchiveMissing, ArchiveTruncated or UnsafeMember.
    """
    wanted = tuple(prefix.strip("/").encode() for prefix in prefixes)
    if archive.is_dir():
        members = _read_folder(_find_experiments(archive, wanted), wanted)
    elif archive.exists():
        members = _read_tarball(archive, wanted)
    else:
        raise ArchiveMissing(f"{archive}: no such file or folder; check the archive's path")
    for path, content in members:
        yield path.decode("utf-8", "replace"), content


def list_folders(archive: Path, prefix: str) -> list[str]:
    """List the folders below a prefix, also those that hold nothing, sorted.

    archive, paths and errors: as `read_members`.
    """
    wanted = (prefix.strip("/").encode(),)
    if archive.is_dir():
        root = _find_experiments(archive, wanted)
        found = (path for path in (root / prefix).rglob("*") if path.is_dir())
        return sorted(path.relative_to(root).as_posix() for path in found)
    names = map(_strip_top, list_tarball_folders(archive))
    return sorted(
        name.decode("utf-8", "replace")
        for name in names
        if _is_below(name, wanted) and name != wanted[0]
    )


def _read_tarball(archive: Path, wanted: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    def is_wanted(name: bytes) -> bool:
        return _is_below(_strip_top(name), wanted)

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
    raise ArchiveMissing(
        f"{folder}: holds no folder 'experiments'; point to the unpacked archive or its tarball"
    )


def _read_folder(root: Path, wanted: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    top = os.path.realpath(os.fsencode(root))
    for path in _walk(top, b"", wanted):
        try:
            with open(os.path.join(top, path), "rb") as file:  # noqa: PTH118, PTH123 - bytes path
                yield path, file.read()
        except OSError as exc:
            raise _unreadable(top, path, exc) from exc


def _walk(top: bytes, folder: bytes, wanted: Sequence[bytes]) -> Iterator[bytes]:
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
            if _is_below(path, wanted) or any(p.startswith(path + b"/") for p in wanted):
                yield from _walk(top, path, wanted)
        elif entry.is_file(follow_symlinks=False) and _is_below(path, wanted):
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
