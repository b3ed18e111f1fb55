"""Get the published archive onto this machine: downloaded once and checked, or used in place."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import BinaryIO, NoReturn

import pooch
import requests
import urllib3
from pooch.utils import unique_file_name  # type: ignore[import-untyped]
from tqdm import tqdm

from pullstudy.errors import ArchiveMissing, ArchiveTruncated, ChecksumMismatch

_TIMEOUT_SECONDS = (10, 60)
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
# Doubled after each attempt.
_WAIT_SECONDS = 1.0
_OK, _PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 200, 206, 416
# Answers that may be different a moment later (RFC 9110, RFC 6585).
_TEMPORARY_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
_match_content_range = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)").fullmatch
_match_unsatisfied_range = re.compile(r"bytes \*/(\d+)").fullmatch


def obtain_archive(source: str, sha256: str | None, cache: Path) -> Path:
    """Return the archive as a path: a tarball, or a folder where `source` is one.

    source: http(s) address of a tarball, or a local tarball or folder, which is used in place.
    sha256: of the tarball, hexadecimal; None: not compared. cache: folder for downloads; a complete
    one is used again, a broken one is resumed. Raises ArchiveMissing, ChecksumMismatch, or
    ArchiveTruncated when the download breaks off again and again.
    """
    if re.match(r"https?://", source):
        return _download(source, sha256, cache)
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if not path.is_file():
        raise ArchiveMissing(f"{source}: no such file or folder; check the archive's path")
    if sha256 is not None:
        found = pooch.file_hash(str(path), alg="sha256")
        if found != sha256.lower():
            raise ChecksumMismatch(
                f"{source}: the sha256 is {found}, not {sha256}; "
                "fetch the file again or correct the checksum"
            )
    return path


def _download(url: str, sha256: str | None, cache: Path) -> Path:
    # The progress bar is shown; pooch's own lines would repeat it.
    pooch.get_logger().setLevel("WARNING")
    name = unique_file_name(url)
    downloader = ResumingDownloader(cache / f"{name}.partial", is_checked=sha256 is not None)
    known_hash = None if sha256 is None else f"sha256:{sha256}"
    try:
        path = pooch.retrieve(url, known_hash, name, cache, downloader=downloader)
    except ValueError as exc:
        found = str(exc).partition(". ")[0]
        raise ChecksumMismatch(
            f"{url}: {found}; run again, or correct the checksum if it stays so"
        ) from exc
    except OSError as exc:
        raise ArchiveMissing(
            f"{cache}: cannot be written ({exc.strerror}); free space or choose another folder"
        ) from exc
    return Path(path)


class _Temporary(Exception):
    """What may work when it is tried again."""


class ResumingDownloader:
    """A downloader for pooch that goes on where a broken download ended.

    pooch begins every download anew. Here the bytes are collected in `partial` and asked for from
    its end on; a server that does not know ranges sends everything and the file begins anew.
    is_checked: the result is compared with a checksum. Without one a file of an earlier run is not
    trusted, and in this run only the server's entity tag keeps two versions from being mixed.
    """

    def __init__(self, partial: Path, *, is_checked: bool) -> None:
        self._partial = partial
        self._is_checked = is_checked
        self._entity_tag: str | None = None
        self._total_bytes: int | None = None

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download to `output_file`. Raises ArchiveMissing or ArchiveTruncated."""
        if not self._is_checked:
            self._partial.unlink(missing_ok=True)
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_WAIT_SECONDS * 2 ** (attempt - 1))
            try:
                self._transfer(url)
            except _Temporary as exc:
                failure = exc
            else:
                self._partial.replace(output_file)
                return
        self._give_up(url, failure)

    def _transfer(self, url: str) -> None:
        held_bytes = self._count_held()
        headers = {"Accept-Encoding": "identity"}
        if held_bytes:
            headers["Range"] = f"bytes={held_bytes}-"
            if self._entity_tag:
                headers["If-Range"] = self._entity_tag
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS
            ) as answer:
                self._receive(url, answer, held_bytes)
        except (requests.ConnectionError, requests.Timeout) as exc:
            raise _Temporary(_shorten(exc)) from exc
        except requests.RequestException as exc:
            raise ArchiveMissing(
                f"{url}: cannot be asked for ({_shorten(exc)}); check the address"
            ) from exc

    def _receive(self, url: str, answer: requests.Response, held_bytes: int) -> None:
        status = answer.status_code
        if status == _RANGE_NOT_SATISFIABLE and held_bytes:
            self._settle_refused_range(answer, held_bytes)
            return
        if status in _TEMPORARY_STATUS:
            raise _Temporary(f"{status} {answer.reason}")
        if status not in (_OK, _PARTIAL_CONTENT):
            raise ArchiveMissing(
                f"{url}: {status} {answer.reason}; check the address and the commit in it"
            )
        start = self._find_start(answer, held_bytes)
        length = answer.headers.get("Content-Length", "")
        self._total_bytes = start + int(length) if length.isdigit() else None
        entity_tag = answer.headers.get("ETag", "")
        self._entity_tag = entity_tag if entity_tag.startswith('"') else None
        with self._partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            self._copy(answer, file, start)

    def _settle_refused_range(self, answer: requests.Response, held_bytes: int) -> None:
        """Accept that nothing is left to send; begin anew when the file is another one."""
        match = _match_unsatisfied_range(answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != held_bytes:
            self._partial.unlink()
            raise _Temporary("the server's file is another one")

    def _find_start(self, answer: requests.Response, held_bytes: int) -> int:
        """Return where the sent bytes belong; a range may begin earlier than asked for."""
        if answer.status_code == _OK:
            return 0
        match = _match_content_range(answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) > held_bytes:
            self._partial.unlink(missing_ok=True)
            raise _Temporary("the server sent another range")
        return int(match[1])

    def _copy(self, answer: requests.Response, file: BinaryIO, start: int) -> None:
        with tqdm(
            total=self._total_bytes,
            initial=start,
            unit="B",
            unit_scale=True,
            desc="archive",
            disable=None,
        ) as bar:
            try:
                for chunk in answer.raw.stream(_CHUNK_BYTES, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
            except urllib3.exceptions.HTTPError as exc:
                raise _Temporary(_shorten(exc)) from exc

    def _count_held(self) -> int:
        """Return the bytes that can be built on."""
        if not (self._is_checked or self._entity_tag) or not self._partial.exists():
            return 0
        return self._partial.stat().st_size

    def _give_up(self, url: str, failure: _Temporary) -> NoReturn:
        held_bytes = self._count_held()
        if held_bytes == 0:
            raise ArchiveMissing(
                f"{url}: cannot be downloaded ({failure}); "
                "check the network and run again, or give a local file"
            ) from failure
        total = "unknown" if self._total_bytes is None else str(self._total_bytes)
        raise ArchiveTruncated(
            f"{url}: broke off after {held_bytes} of {total} bytes; run again to go on from there"
        ) from failure


def _shorten(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200]
