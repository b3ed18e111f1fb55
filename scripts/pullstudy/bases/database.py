"""The database of base images: which paths each of them has.

Source: github.com/singularityhub/shpc-guts, one JSON file per base image,
`docker.io/library/debian/12.json`: {name: {"fs": [path, …], …}}. The lists were made from running
Docker containers with container-guts: all that is no folder, with what Docker itself puts there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from pullstudy.archive.fetch import obtain_archive
from pullstudy.archive.tarball import read_tarball
from pullstudy.errors import ArchiveError, ArchiveMissing, ChecksumMismatch

_COMMIT = "798a664b2da21fe9fe3713e73b86ff961e7daa07"
DATABASE_URL = f"https://codeload.github.com/singularityhub/shpc-guts/tar.gz/{_COMMIT}"
# Of the files and not of the tarball, which GitHub may pack anew, below the top folder:
#   find */ -name '*.json' | LC_ALL=C sort | xargs sha256sum | sha256sum
DATABASE_SHA256 = "46c725f7429984b37fadf5c5c88c02aa3fdab12606dba9b937a430a6abb81db1"


class _Guts(msgspec.Struct):
    fs: list[str]


_decode_file = msgspec.json.Decoder(dict[str, _Guts]).decode


@dataclass(frozen=True)
class BaseDatabase:
    """paths: by base image, sorted by its name. sha256: of the files it was read from."""

    paths: Mapping[str, frozenset[str]]
    sha256: str

    @cached_property
    def known_paths(self) -> frozenset[str]:
        """The paths of all bases together."""
        return frozenset().union(*self.paths.values())


def load_database(source: str, sha256: str | None, cache: Path) -> BaseDatabase:
    """Read the database from an address or path of its tarball, or from an unpacked folder.

    sha256: what the digest of its files must be; None: any. cache: folder for downloads. Raises
    ArchiveError.
    """
    archive = obtain_archive(source, None, cache)
    files = dict(_read_folder(archive) if archive.is_dir() else _read_tarball(archive))
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)]
    found = hashlib.sha256("".join(lines).encode()).hexdigest()
    if not files:
        raise ArchiveMissing(f"{archive}: holds no JSON file of a base image; check the database")
    if sha256 is not None and found != sha256:
        raise ChecksumMismatch(
            f"{archive}: the sha256 over its JSON files is {found}, not {sha256}; "
            "delete a download that is broken, or name the right checksum"
        )
    paths: dict[str, frozenset[str]] = {}
    for path in sorted(files):
        paths |= _read_bases(archive, path, files[path])
    return BaseDatabase(dict(sorted(paths.items())), found)


def _read_bases(archive: Path, path: str, content: bytes) -> dict[str, frozenset[str]]:
    try:
        guts = _decode_file(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ArchiveError(
            f"{archive}: {path}: no list of paths of a base image ({exc}); check the database"
        ) from exc
    return {name: frozenset(found.fs) for name, found in guts.items()}


def _read_tarball(archive: Path) -> Iterator[tuple[str, bytes]]:
    for name, content in read_tarball(archive, lambda name: name.endswith(b".json")):
        path = name.decode("utf-8", "replace").partition("/")[2]
        if _is_wanted(path):
            yield path, content


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in folder.rglob("*.json"):
        path = file.relative_to(folder).as_posix()
        if _is_wanted(path):
            yield path, file.read_bytes()


def _is_wanted(path: str) -> bool:
    """Whether a file lies in a folder of a registry: not at the top, nor in `.github`."""
    return "/" in path and not path.startswith(".")
