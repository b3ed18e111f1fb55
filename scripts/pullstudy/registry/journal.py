"""What a harvest has learnt so far, one append-only file of JSON lines per repository.

A line is written in one piece as soon as it is known, and a line that a kill cut off is dropped
when the file is opened again: a harvest goes on where it stopped. The contents themselves are in
the cache, by digest. Lines of a harvest for other platforms are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pullstudy.errors import RegistryError
from pullstudy.registry.cache import file_name_of


class Failure(msgspec.Struct, frozen=True):
    """One thing that could not be had. mendable: a later run may get it."""

    reason: str
    detail: str
    status: int | None = None
    mendable: bool = False


class ImageRecord(msgspec.Struct, frozen=True):
    """One image of a tag: digest and media type of its manifest, digest of its config."""

    digest: str
    media_type: str
    config: str | None = None


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A harvest began to write: what it was asked for."""

    repository: str
    platforms: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True, tag="listed"):
    """The tags of the repository, as far as they could be listed."""

    tags: tuple[str, ...]
    failure: Failure | None = None


class TagRecord(msgspec.Struct, frozen=True, tag="tag"):
    """What was found under a tag; without a digest its manifest could not be had."""

    tag: str
    digest: str | None = None
    media_type: str = ""
    images: tuple[ImageRecord, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether asking again would change nothing."""
        return not any(failure.mendable for failure in self.failures)

    @property
    def digests(self) -> list[str]:
        """The digests of all contents that it led to."""
        contents = [self.digest]
        for image in self.images:
            contents += [image.digest, image.config]
        return [digest for digest in contents if digest is not None]


_Record = Started | Listed | TagRecord
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Record).decode
_decode_tag = msgspec.json.Decoder(TagRecord).decode


def has_journal(folder: Path, repository: str) -> bool:
    """Whether anything was written down of a repository."""
    return (folder / file_name_of(repository, "jsonl")).exists()


class Journal:
    """The journal of one repository, read whole when it is opened.

    Of each tag the last line is held, undecoded: a repository may have a hundred thousand.
    """

    def __init__(self, folder: Path, repository: str, platforms: Sequence[str]) -> None:
        self._path = folder / file_name_of(repository, "jsonl")
        self._started = Started(repository, tuple(platforms))
        self._file: int | None = None
        self._lines: dict[str, bytes] = {}
        self.listed: Listed | None = None
        self._read()

    @property
    def is_listed(self) -> bool:
        """Whether the list of tags is complete, or lastingly refused."""
        return self.listed is not None and not (
            self.listed.failure and self.listed.failure.mendable
        )

    def __contains__(self, tag: str) -> bool:
        """Whether a tag was asked for."""
        return tag in self._lines

    def get(self, tag: str) -> TagRecord | None:
        """Return the last that was written down of a tag."""
        line = self._lines.get(tag)
        return None if line is None else _decode_tag(line)

    def records(self) -> Iterator[TagRecord]:
        """Return what was written down last of every tag."""
        return map(_decode_tag, self._lines.values())

    def add(self, record: Listed | TagRecord) -> None:
        """Write a record down. Raises RegistryError when that is not possible."""
        line = _encode(record)
        try:
            if self._file is None:
                self._file = self._open()
                self._write(_encode(self._started))
            self._write(line)
        except OSError as exc:
            raise RegistryError(
                f"{self._path}: cannot be written: {exc.strerror}; run again to go on"
            ) from exc
        self._take(record, line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        content = self._path.read_bytes()
        os.ftruncate(file, content.rfind(b"\n") + 1)
        return file

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        left = memoryview(line + b"\n")
        while left:
            left = left[os.write(self._file, left) :]

    def _take(self, record: Listed | TagRecord, line: bytes) -> None:
        if isinstance(record, Listed):
            self.listed = record
        else:
            self._lines[record.tag] = line

    def _read(self) -> None:
        if not self._path.exists():
            return
        is_ours = False
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # cut off by a kill
                record = self._decode(number, line)
                if isinstance(record, Started):
                    is_ours = record == self._started
                elif is_ours:
                    self._take(record, line)

    def _decode(self, number: int, line: bytes) -> _Record:
        try:
            return _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise RegistryError(
                f"{self._path}: line {number} is damaged; delete the file to ask again"
            ) from exc
