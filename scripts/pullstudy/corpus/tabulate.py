"""Crawled repositories to the tables of stage `corpus`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pullstudy.corpus.record import Record, describe_counts, load_part, read_record
from pullstudy.dockerfiles.notes import Skipped, write_notes
from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles


def tabulate_crawl(record: Path, parts: Path, folder: Path) -> None:
    """Write the tables of stage `corpus` of a crawl into the folder.

    record: as `crawl_listing` wrote it; parts: the folder beside it. Repositories come in the order
    of the record, files in that of their path. Raises CorpusError when a part is missing.
    """
    crawl = read_record(record)
    tabulate_dockerfiles(_read_files(crawl, parts), folder)
    complete = sum(crawled.is_complete for crawled in crawl.crawled)
    skipped = _read_skipped(crawl, parts)
    write_notes(folder, skipped, crawl.listed, complete, _describe_coverage(crawl))


def _read_files(crawl: Record, parts: Path) -> Iterator[SourceFile]:
    for crawled in crawl.crawled:
        repository = crawled.repository
        for file in load_part(parts, repository.url).files:
            path = file.path.decode(errors="replace")
            yield SourceFile(repository.collection, repository.name, path, file.content)


def _read_skipped(crawl: Record, parts: Path) -> Iterator[Skipped]:
    for failure in crawl.failures:
        yield Skipped(*msgspec.structs.astuple(failure))
    for crawled in crawl.crawled:
        for problem in load_part(parts, crawled.repository.url).problems:
            path = None if problem.path is None else problem.path.decode(errors="replace")
            yield Skipped(
                crawled.repository.url, problem.reason, path, problem.status, problem.detail
            )


def _describe_coverage(crawl: Record) -> str:
    reasons = Counter(crawled.reason for crawled in crawl.crawled if crawled.reason)
    parts = [f"{len(crawl.crawled):,} of {crawl.listed:,} listed repositories were crawled"]
    if reasons:
        parts.append(f"failed: {describe_counts(reasons)}")
    if crawl.failures:
        listing = Counter(failure.reason for failure in crawl.failures)
        parts.append(f"not listed: {describe_counts(listing)}")
    return "; ".join(parts)
