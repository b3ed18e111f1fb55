"""What became of each repository of a list: the record that tables are made from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
from rich.console import Console

from pullstudy.corpus.crawl import CrawlSettings, crawl_repositories
from pullstudy.corpus.listing import Failure, Listing, Repository, sample_repositories
from pullstudy.corpus.parts import Part, path_of_part, read_part
from pullstudy.corpus.progress import print_line
from pullstudy.errors import CorpusError
from pullstudy.files import replace_atomically


class Crawled(msgspec.Struct, frozen=True):
    """One repository that was crawled: its part, and at which commit, or why not.

    is_complete: nothing is missing; that is true of an empty repository, too.
    """

    repository: Repository
    part: str
    commit: str | None
    dockerfiles: int
    reason: str | None
    is_complete: bool
    is_temporary: bool


class Record(msgspec.Struct, frozen=True):
    """A whole crawl: how many repositories were listed, and what became of those crawled."""

    listed: int
    crawled: list[Crawled]
    failures: list[Failure]


def crawl_listing(
    listing: Listing, parts: Path, record: Path, settings: CrawlSettings, console: Console
) -> Record:
    """Crawl the repositories of a list, or a sample of them; write the record.

    parts: folder with a file for each repository; what is there is used. Raises CorpusError.
    """
    count, seed = settings.max_repositories, settings.seed
    repositories = sample_repositories(listing.repositories, count, seed)
    crawl_repositories(repositories, parts, settings, console)
    crawled = [_describe(repository, parts) for repository in repositories]
    result = Record(len(listing.repositories), crawled, listing.failures)
    with replace_atomically(record) as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    _print_summary(result, console)
    return result


def read_record(path: Path) -> Record:
    """Read a record. Raises CorpusError when the file is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError) as exc:
        raise CorpusError(f"{path}: no record of a crawl ({exc}); delete it, run again") from exc


def load_part(parts: Path, url: str) -> Part:
    """Read a part that must be there. Raises CorpusError when it is not."""
    part = read_part(parts, url)
    if part is None:
        path = path_of_part(parts, url)
        raise CorpusError(f"{path}: no part of a crawl, or a damaged one; crawl again")
    return part


def _describe(repository: Repository, parts: Path) -> Crawled:
    part = load_part(parts, repository.url)
    reason = None if part.failure is None else part.failure.reason
    return Crawled(
        repository,
        path_of_part(parts, repository.url).name,
        part.commit,
        len(part.files),
        reason,
        is_complete=reason in (None, "empty"),
        is_temporary=part.is_temporary,
    )


def _print_summary(record: Record, console: Console) -> None:
    dockerfiles = sum(crawled.dockerfiles for crawled in record.crawled)
    print_line(
        console, f"crawl: {dockerfiles:,} Dockerfiles in {len(record.crawled):,} repositories"
    )
    reasons = Counter(crawled.reason for crawled in record.crawled if crawled.reason)
    if reasons:
        print_line(console, f"crawl: failed: {describe_counts(reasons)}")
    temporary = sum(crawled.is_temporary for crawled in record.crawled)
    if temporary:
        print_line(
            console, f"crawl: {temporary:,} of them for a passing cause: crawl again to have them"
        )


def describe_counts(reasons: Counter[str]) -> str:
    """Put counts in words, the largest first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {reason}" for reason, count in ordered)
