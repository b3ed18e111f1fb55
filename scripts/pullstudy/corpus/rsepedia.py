"""The repositories that the Research Software Encyclopedia names.

Its database is a git repository (github.com/rseng/software) with one file per entry:
`database/<parser>/…/metadata.json`, parsers `github`, `gitlab` and `custom`. The key `url` is kept
up to date when a project moves, the folder is not; entries of `custom` name web pages for the most
part.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from rich.console import Console

from pullstudy.corpus.fetch import fetch_files
from pullstudy.corpus.git import Git, Processes, Unavailable, check_git
from pullstudy.corpus.listing import (
    Failure,
    Listing,
    Repository,
    drop_repeated,
    find_problem,
    name_repository,
    redact,
)
from pullstudy.corpus.progress import print_line
from pullstudy.errors import ConfigError, CorpusError

COLLECTION = "rseng"
# What addresses of repositories look like is known of these; `gitlab.` starts many a host.
_FORGES = frozenset(("github.com", "gitlab.com", "bitbucket.org", "codeberg.org"))
_GITLAB_PREFIX = "gitlab."
# The database had some 16,000 entries of 2 kB each in 2024.
_ENTRY_BYTES_MAX = 1_000_000
_DATABASE_BYTES_MAX = 1_000_000_000
_TIMEOUT_SECONDS = 1800
# Where the parsers keep the address, should `url` be empty.
_ADDRESS_KEYS = ("html_url", "web_url", "clone_url", "http_url_to_repo", "url")


class _Entry(msgspec.Struct):
    url: str | None = None
    data: dict[str, Any] = {}


def list_rsepedia(source: str, console: Console) -> Listing:
    """List the repositories of a database, by the path of their entries.

    source: a checkout, or any address of the git repository. An entry that names no repository is a
    failure of the list. Addresses `file://` count only where the database is local, too. Raises
    CorpusError when the database cannot be had or has no entry.
    """
    folder = Path(source).expanduser()
    is_checkout = (folder / "database").is_dir()
    entries = list(_read_folder(folder) if is_checkout else _fetch_entries(source))
    if not entries:
        raise CorpusError(f"{redact(source)}: no entry database/…/metadata.json in it")
    is_local = folder.exists() or source.startswith("file://")
    repositories: list[Repository] = []
    failures: list[Failure] = []
    for path, content in entries:
        found = _read_entry(path, content, is_local)
        if isinstance(found, Failure):
            failures.append(found)
        else:
            repositories.append(found)
    distinct = drop_repeated(repositories)
    print_line(
        console,
        f"rsepedia: {len(entries):,} entries, {len(distinct):,} repositories, "
        f"{len(failures):,} entries without one",
    )
    return Listing(distinct, failures)


def find_repository(url: str, is_local: bool) -> str | None:
    """Return the address to clone of a page on a forge; None: it is not known to be one."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").lower().removeprefix("www.")
    except ValueError:
        return None
    if parts.scheme == "file" and is_local:
        return url
    if parts.scheme not in ("http", "https"):
        return None
    names = [name for name in parts.path.split("/") if name]
    if host.startswith(_GITLAB_PREFIX):
        # Groups may be nested; what follows a dash is a page of the project.
        names = names[: names.index("-")] if "-" in names else names
    elif host in _FORGES:
        names = names[:2]
    else:
        return None
    if len(names) < 2:
        return None
    return f"https://{host}/{'/'.join(names).removesuffix('.git')}.git"


def _read_entry(path: bytes, content: bytes, is_local: bool) -> Repository | Failure:
    name = path.decode(errors="replace").removesuffix("/metadata.json")
    try:
        entry = msgspec.json.decode(content, type=_Entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return Failure(name, "unreadable_entry", detail=str(exc))
    addresses = [entry.url, *(entry.data.get(key) for key in _ADDRESS_KEYS)]
    texts = [address for address in addresses if isinstance(address, str) and address.strip()]
    for text in texts:
        url = find_repository(text, is_local)
        if url is not None and find_problem(url) is None:
            return Repository(COLLECTION, name_repository(url), url)
    return Failure(name, "no_repository", detail=redact(texts[0]) if texts else None)


def _read_folder(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    paths = [
        os.fsencode(path.relative_to(folder)) for path in folder.glob("database/**/metadata.json")
    ]
    for path in sorted(paths):
        try:
            yield path, (folder / os.fsdecode(path)).read_bytes()
        except OSError as exc:
            raise CorpusError(
                f"{folder / os.fsdecode(path)}: cannot be read ({exc.strerror}); check the checkout"
            ) from exc


def _fetch_entries(source: str) -> Iterator[tuple[bytes, bytes]]:
    problem = find_problem(source)
    if problem is not None:
        raise ConfigError(f"config: key 'corpus.rsepedia': {redact(source)!r}: {problem}")
    check_git()
    with tempfile.TemporaryDirectory() as folder:
        git = Git(Path(folder), _DATABASE_BYTES_MAX, _TIMEOUT_SECONDS, Processes())
        try:
            fetched = fetch_files(git, source, _is_entry, _ENTRY_BYTES_MAX, _DATABASE_BYTES_MAX)
        except Unavailable as exc:
            raise CorpusError(
                f"{redact(source)}: {exc.detail}; check corpus.rsepedia and run again"
            ) from exc
    yield from fetched.files


def _is_entry(path: bytes) -> bool:
    return path.startswith(b"database/") and path.endswith(b"/metadata.json")
