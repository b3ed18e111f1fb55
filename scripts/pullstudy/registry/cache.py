"""What harvests have fetched, by digest, on disk: never fetched twice by any of them.

Contents lie one after the other in append-only files, and each process writes a file of its own:
any number of harvests may share a folder without locks, whatever its file system, and half a
million small documents are not half a million files.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from pullstudy.errors import RegistryError
from pullstudy.registry.content import digest_of

_READABLE_LENGTH_MAX = 120
_HEADER_BYTES_MAX = 200
_OPEN_FILES_MAX = 64
# A place is one number: file, offset (40 bits) and length (28 bits), which takes least memory.
_OFFSET_BITS, _LENGTH_BITS = 40, 28
_FORGOTTEN = b"-"
_match_header = re.compile(rb"[a-z0-9]+:([0-9a-f]+) (\d+|-)\n").fullmatch


class ContentCache:
    """Contents by digest in `folder/*.pack`.

    A record is `digest length`, a line feed, the content and a line feed; the length `-` forgets
    what an earlier record held. A record that a kill cut off ends its file and is passed over.
    """

    def __init__(self, folder: Path) -> None:
        """Find what is there. Raises RegistryError when a file cannot be read."""
        self.folder = folder
        self._places: dict[bytes, int] = {}
        self._paths: list[Path] = []
        self._handles: dict[int, int] = {}
        self._is_writing = False
        self._end = 0
        try:
            for path in sorted(folder.glob("*.pack")):
                self._scan(path)
        except OSError as exc:
            raise RegistryError(f"{folder}: cannot be read: {exc.strerror}") from exc

    def __contains__(self, digest: str) -> bool:
        return _key_of(digest) in self._places

    def get(self, digest: str) -> bytes | None:
        """Return the content, or None when it is not there; damaged content is forgotten."""
        place = self._places.get(_key_of(digest))
        if place is None:
            return None
        length = place & ((1 << _LENGTH_BITS) - 1)
        offset = place >> _LENGTH_BITS & ((1 << _OFFSET_BITS) - 1)
        number = place >> (_LENGTH_BITS + _OFFSET_BITS)
        try:
            content = os.pread(self._open(number), length, offset)
        except OSError:
            content = b""  # somebody has cleared the cache
        if digest_of(content, digest) == digest:
            return content
        self._append(b"%b %b\n" % (digest.encode(), _FORGOTTEN))
        del self._places[_key_of(digest)]
        return None

    def put(self, digest: str, content: bytes) -> None:
        """Keep content whose digest was verified. Raises RegistryError when there is no room."""
        header = f"{digest} {len(content)}\n".encode()
        offset = self._append(b"%b%b\n" % (header, content)) + len(header)
        self._remember(_key_of(digest), len(self._paths) - 1, offset, len(content))

    def close(self) -> None:
        """Close all files."""
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def _append(self, record: bytes) -> int:
        """Append a record to the own file, the last of the list; return where it begins."""
        try:
            if not self._is_writing:
                self._begin_file()
            handle = self._open(len(self._paths) - 1)
            start = at = self._end
            while at < start + len(record):
                # A failed write is written over by the next record.
                at += os.pwrite(handle, record[at - start :], at)
        except OSError as exc:
            raise RegistryError(
                f"{self.folder}: cannot be written: {exc.strerror}; free some space or choose "
                "another folder"
            ) from exc
        self._end = at
        return start

    def _begin_file(self) -> None:
        # Configs of private images are kept here too.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Later files count more when they are read: a record may forget an earlier one.
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}.pack"
        self._paths.append(self.folder / name)
        self._handles[len(self._paths) - 1] = os.open(
            self._paths[-1], os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600
        )
        self._is_writing = True

    def _open(self, number: int) -> int:
        handle = self._handles.get(number)
        if handle is None:
            if len(self._handles) >= _OPEN_FILES_MAX:
                self.close()
            is_own = self._is_writing and number == len(self._paths) - 1
            handle = os.open(self._paths[number], os.O_RDWR if is_own else os.O_RDONLY)
            self._handles[number] = handle
        return handle

    def _scan(self, path: Path) -> None:
        """Remember the places of all whole records of a file."""
        self._paths.append(path)
        at, size = 0, path.stat().st_size
        with path.open("rb") as file:
            while match := _match_header(file.readline(_HEADER_BYTES_MAX)):
                key = bytes.fromhex(match[1].decode())
                at += match.end()
                if match[2] == _FORGOTTEN:
                    self._places.pop(key, None)
                    continue
                length = int(match[2])
                if at + length + 1 > size:
                    return
                self._remember(key, len(self._paths) - 1, at, length)
                at += length + 1
                file.seek(length + 1, os.SEEK_CUR)

    def _remember(self, key: bytes, number: int, offset: int, length: int) -> None:
        self._places[key] = (number << _OFFSET_BITS | offset) << _LENGTH_BITS | length


class TagMemory:
    """What the tags of each repository named when it was last harvested, by any harvest.

    It only saves requests: a tag that still names a digest of the cache is asked for with HEAD.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, repository: str) -> dict[str, str]:
        """Return the digests by tag; empty when nothing (readable) is remembered."""
        try:
            digests = orjson.loads((self._folder / file_name_of(repository, "json")).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return digests if isinstance(digests, dict) else {}

    def save(self, repository: str, digests: Mapping[str, str]) -> None:
        """Remember the digests by tag."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / file_name_of(repository, "json")
        partial = path.with_name(f".{secrets.token_hex(8)}.partial")
        partial.write_bytes(orjson.dumps(digests))
        partial.replace(path)


def file_name_of(repository: str, suffix: str) -> str:
    """A readable file name, short enough for every file system and made unique by a digest."""
    readable = repository.replace("/", "+").replace(":", "+")[:_READABLE_LENGTH_MAX]
    return f"{readable}-{hashlib.sha256(repository.encode()).hexdigest()[:12]}.{suffix}"


def _key_of(digest: str) -> bytes:
    # The algorithms differ in length, so the digits alone tell digests apart.
    return bytes.fromhex(digest.partition(":")[2])
