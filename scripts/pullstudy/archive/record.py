"""What is known of the archive that a study is built from; later stages find it by this record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pullstudy.archive.fetch import obtain_archive
from pullstudy.archive.members import check_archive
from pullstudy.errors import ConfigError
from pullstudy.files import replace_atomically


def record_archive(source: str | None, sha256: str | None, cache: Path, record: Path) -> None:
    """Obtain the archive and write `record`: JSON with source, path and sha256.

    sha256 of a folder is null. Raises ConfigError without a source, else ArchiveError.
    """
    if source is None:
        raise ConfigError(
            "config: key 'archive' is null; name a URL, tarball or folder: --config archive=PATH"
        )
    path = obtain_archive(source, sha256, cache)
    check_archive(path)
    known = {"source": source, "path": str(path), "sha256": _hash(path)}
    with replace_atomically(record) as partial:
        partial.write_text(json.dumps(known, indent=2) + "\n")


def read_record(record: Path) -> Path:
    """Read where the archive lies."""
    return Path(json.loads(record.read_text())["path"])


def identify_archive(source: str | None) -> list[object]:
    """Tell one state of a local archive from another without reading it: size and time of change.

    A URL names one state for ever: it holds a commit.
    """
    path = Path(source or "")
    if not path.is_file():
        return [source]
    status = path.stat()
    return [source, status.st_size, status.st_mtime_ns]


def _hash(path: Path) -> str | None:
    if path.is_dir():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
