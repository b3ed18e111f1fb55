"""Which repositories are crawled: addresses of git repositories, and the list of a source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from pullstudy.errors import ConfigError, CorpusError
from pullstudy.files import replace_atomically

# Transports that git itself speaks; `ext::` would run any command.
SCHEMES = frozenset(("file", "git", "http", "https", "ssh"))
# Forges that do not tell upper from lower case in names of owners and repositories.
_CASELESS_HOSTS = frozenset(("bitbucket.org", "codeberg.org", "github.com", "gitlab.com"))

# host:path, as ssh takes it; a slash before the colon makes it a local path (git-clone(1)).
_match_ssh_short = re.compile(r"(?:([^/@:]+)@)?([^/@:]+):(?!//)(.+)", re.DOTALL).fullmatch


class Repository(msgspec.Struct, frozen=True):
    """One repository to crawl; `name` is owner/name, `url` any address that git takes."""

    collection: str
    name: str
    url: str


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that could not be had; the fields are columns of table `failures`."""

    name: str
    reason: str
    reference: str | None = None
    status: int | None = None
    detail: str | None = None


class Listing(msgspec.Struct, frozen=True):
    """The repositories that a source lists, in its order, and what it could not list."""

    repositories: list[Repository]
    failures: list[Failure] = []


def list_urls(urls: Iterable[str], collection: str = "git") -> Listing:
    """List repositories by address; a local path is made absolute.

    Raises ConfigError when one is no address that git takes, or holds a password.
    """
    repositories = []
    for text in urls:
        problem = find_problem(text)
        if problem is not None:
            raise ConfigError(f"repository {redact(text)!r}: {problem}")
        url = text if _is_remote(text) else str(Path(text).expanduser().absolute())
        repositories.append(Repository(collection, name_repository(url), url))
    return Listing(drop_repeated(repositories))


def drop_repeated(repositories: Iterable[Repository]) -> list[Repository]:
    """Keep the first of the repositories that are the same by address."""
    first: dict[str, Repository] = {}
    for repository in repositories:
        first.setdefault(key_of(repository.url), repository)
    return list(first.values())


def sample_repositories(
    repositories: list[Repository], count: int | None, seed: int
) -> list[Repository]:
    """Draw `count` repositories, each as likely as the next; None: all. The order stays.

    Whether one is drawn before another depends on the seed and their addresses only: a larger
    sample holds every smaller one.
    """
    if count is None or count >= len(repositories):
        return repositories
    drawn = sorted(repositories, key=lambda repository: _hash(f"{seed} {repository.url}"))[:count]
    kept = set(drawn)
    return [repository for repository in repositories if repository in kept]


def write_listing(listing: Listing, path: Path) -> None:
    """Write the list as JSON."""
    with replace_atomically(path) as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(listing)) + b"\n")


def read_listing(path: Path) -> Listing:
    """Read a list. Raises CorpusError when the file is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Listing)
    except (OSError, msgspec.DecodeError) as exc:
        raise CorpusError(
            f"{path}: no list of repositories ({exc}); delete it and run again"
        ) from exc


def find_problem(url: str) -> str | None:
    """Say why git should not be given this address; None: it may."""
    if not url.strip() or url.startswith("-") or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", url):
        return "not an address of a git repository"
    scheme, separator, _ = url.partition("://")
    if "::" in url.partition("/")[0] or (separator and scheme not in SCHEMES):
        return f"no transport of git; known: {', '.join(sorted(SCHEMES))} and local paths"
    if separator and scheme != "file":
        return _find_problem_of_host(url)
    return None


def _find_problem_of_host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, user, password = parts.hostname, parts.username, parts.password
    except ValueError:
        return "not an address of a git repository"
    if password is not None or (user is not None and parts.scheme != "ssh"):
        return "take user name and password out; only public repositories are crawled"
    return None if host and parts.path.strip("/") else "it names no host or no repository"


def redact(url: str) -> str:
    """Take user name and password out of an address, for messages."""
    return re.sub(r"(://)[^/]*@", r"\1…@", url)


def name_repository(url: str) -> str:
    """Return owner/name of an address: the path on its host, or the last two folders."""
    host, path = split_url(url)
    return path if host else "/".join(path.strip("/").split("/")[-2:])


def key_of(url: str) -> str:
    """Return the same text for every way to write the address of one repository."""
    host, path = split_url(url)
    return f"{host}/{path.lower() if host in _CASELESS_HOSTS else path}"


def file_stem(url: str) -> str:
    """Return a file name for the repository, legible and different for different repositories."""
    legible = re.sub(r"[^A-Za-z0-9._-]+", "-", name_repository(url)).strip(".-")[-60:]
    return f"{legible}-{_hash(key_of(url))[:16]}"


def split_url(url: str) -> tuple[str, str]:
    """Return the host ("" for a local path) and the path without `.git`."""
    if _is_local(url):
        path = unquote(url.removeprefix("file://")) if url.startswith("file://") else url
        return "", path.rstrip("/").removesuffix("/.git").removesuffix(".git")
    short = None if "://" in url else _match_ssh_short(url)
    if short:
        host, path = short[2], short[3]
    else:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    return host.lower().removeprefix("www."), path.strip("/").removesuffix(".git")


def _is_local(url: str) -> bool:
    return url.startswith("file://") or not _is_remote(url)


def _is_remote(url: str) -> bool:
    return "://" in url or _match_ssh_short(url) is not None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
