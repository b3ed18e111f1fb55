"""The tables of a harvest, from its journals and the cache: no request is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pullstudy.errors import RegistryError
from pullstudy.naming import is_tag
from pullstudy.registry.cache import ContentCache
from pullstudy.registry.documents import (
    IMAGE,
    INDEX,
    SCHEMA1,
    UNKNOWN,
    Config,
    Manifest,
    UnreadableDocument,
    classify_manifest,
    decode_config,
    decode_manifest,
)
from pullstudy.registry.journal import Failure, ImageRecord, Journal, TagRecord
from pullstudy.registry.plan import HarvestSettings, Target
from pullstudy.registry.reading import choose_tags, classify_tag
from pullstudy.registry.tabulate import RegistryTables, Repository, open_registry_tables

_NOT_ASKED = Failure(
    "not_asked", "the registry stopped answering; run again to go on", mendable=True
)
# Rows of so many images are held before they are written: what bounds the memory.
_IMAGES_PER_BATCH = 2_000
_NO_TAGS = Failure("no_tags", "the repository has no tags")
_UNREADABLE = {
    SCHEMA1: Failure("schema1", "a manifest of schema 1, which has no sizes and no config"),
    UNKNOWN: Failure("unknown_manifest", "neither an image nor an index"),
}


@dataclass
class HarvestSummary:
    """What a harvest found; `*_wanted` is what it was to find.

    repositories: those of which a tag was read. mendable: failures that another run may mend.
    """

    repositories_wanted: int = 0
    repositories: int = 0
    tags_wanted: int = 0
    tags: int = 0
    images: int = 0
    failures: int = 0
    mendable: int = 0
    first_failure: str = ""

    def __str__(self) -> str:
        again = f" (run again to try {self.mendable:,} of them once more)"
        return (
            f"{self.tags:,} of {self.tags_wanted:,} tags, {self.repositories:,} of "
            f"{self.repositories_wanted:,} repositories, {self.images:,} images, "
            f"{self.failures:,} failures{again if self.mendable else ''}"
        )


def open_journal(folder: Path, target: Target, settings: HarvestSettings) -> Journal:
    """Open the journal of a repository. Raises RegistryError when it is damaged."""
    return Journal(folder, target.canonical, [str(p) for p in settings.platforms])


def wanted_tags(target: Target, journal: Journal, tags_max: int | None) -> list[str]:
    """The tags of a repository that are to be read, in the order of reading."""
    if target.tags is not None:
        return list(target.tags)
    listed = journal.listed.tags if journal.listed else ()
    return choose_tags([tag for tag in listed if is_tag(tag)], tags_max)


def write_harvest(
    targets: Iterable[Target],
    refused: Iterable[str],
    journals: Path,
    cache: ContentCache,
    settings: HarvestSettings,
    folder: Path,
) -> HarvestSummary:
    """Write the tables of all targets, sorted by repository and tag.

    refused: names that are no references. Raises RegistryError when the cache lost a content.
    """
    summary = HarvestSummary()
    with open_registry_tables(folder) as tables:
        for name in refused:
            tables.add_repository(name)
            summary.failures += 1
            summary.first_failure = summary.first_failure or f"{name!r} is no image reference"
            summary.repositories_wanted += 1
        for target in targets:
            journal = open_journal(journals, target, settings)
            _RepositoryRows(tables, target, cache, settings, summary).add(journal)
        tables.add_coverage(
            "registry",
            summary.repositories_wanted,
            summary.repositories,
            "repositories of which a tag was read; the others are in `failures`",
        )
        tables.add_coverage(
            "registry_tags",
            summary.tags_wanted,
            summary.tags,
            "tags that were listed; the others were left out by a cap, or are in `failures`",
        )
    return summary


class _RepositoryRows:
    """Adds the rows of one repository."""

    def __init__(
        self,
        tables: RegistryTables,
        target: Target,
        cache: ContentCache,
        settings: HarvestSettings,
        summary: HarvestSummary,
    ) -> None:
        self._tables = tables
        self._target = target
        self._cache = cache
        self._settings = settings
        self._summary = summary
        self._repository = Repository(target.name, target.registry, target.repository)

    def add(self, journal: Journal) -> None:
        """Add all that a journal knows, in the order of the tags' names."""
        listed = journal.listed.tags if journal.listed and self._target.tags is None else ()
        if journal.listed and journal.listed.failure and self._target.tags is None:
            self._add_failure(None, journal.listed.failure)
        for tag in sorted(set(listed)):
            if not is_tag(tag):
                self._add_failure(tag, Failure("invalid_tag", "the registry lists it as a tag"))
        wanted = sorted(wanted_tags(self._target, journal, self._settings.tags_max))
        if not wanted and not (journal.listed and journal.listed.failure):
            nothing = _NO_TAGS if journal.listed else _NOT_ASKED
            self._add_failure(None, nothing)
        read = 0
        for tag in wanted:
            record = journal.get(tag) or TagRecord(tag, failures=(_NOT_ASKED,))
            self._add_tag(record)
            read += record.digest is not None
        self._summary.repositories_wanted += 1
        self._summary.repositories += read > 0
        self._summary.tags_wanted += max(len(set(listed)), len(wanted))
        self._summary.tags += read

    def _add_tag(self, record: TagRecord) -> None:
        for failure in record.failures:
            self._add_failure(record.tag, failure)
        manifest = None
        if record.digest is not None:
            manifest = self._decode_manifest(record.tag, record.digest)
        kind = UNKNOWN if manifest is None else classify_tag(record.tag, manifest)
        media_type = record.media_type or (manifest.media_type if manifest else None)
        self._tables.add_tag(self._repository, record.tag, kind, media_type, record.digest)
        if manifest is None:
            return
        if kind in _UNREADABLE:
            self._add_failure(record.tag, _UNREADABLE[kind])
        if kind in (IMAGE, INDEX):
            for image in record.images:
                own = manifest if image.digest == record.digest else None
                self._add_image(record.tag, kind, image, own)

    def _add_image(
        self, tag: str, kind: str, image: ImageRecord, manifest: Manifest | None
    ) -> None:
        manifest = manifest or self._decode_manifest(tag, image.digest)
        if manifest is None:
            return
        if classify_manifest(manifest) != IMAGE:
            detail = f"{image.digest}: what the index has for the platform is no image"
            self._add_failure(tag, Failure("unknown_manifest", detail))
            return
        if manifest.media_type is None:
            manifest.media_type = image.media_type or None
        config = None if image.config is None else self._decode_config(tag, image.config)
        self._tables.add_image(self._repository, tag, kind, manifest, config, digest=image.digest)
        self._summary.images += 1
        if self._summary.images % _IMAGES_PER_BATCH == 0:
            self._tables.flush()

    def _add_failure(self, reference: str | None, failure: Failure) -> None:
        self._tables.add_failure(
            self._target.name,
            failure.reason,
            reference=reference,
            status=failure.status,
            detail=failure.detail,
        )
        self._summary.failures += 1
        self._summary.mendable += failure.mendable
        self._summary.first_failure = self._summary.first_failure or failure.detail

    def _decode_manifest(self, tag: str, digest: str) -> Manifest | None:
        try:
            return decode_manifest(self._load(digest))
        except UnreadableDocument as exc:
            self._add_failure(tag, Failure(exc.reason, f"{digest}: {exc.detail}"))
            return None

    def _decode_config(self, tag: str, digest: str) -> Config | None:
        try:
            return decode_config(self._load(digest))
        except UnreadableDocument as exc:
            self._add_failure(tag, Failure(exc.reason, f"{digest}: {exc.detail}"))
            return None

    def _load(self, digest: str) -> bytes:
        content = self._cache.get(digest)
        if content is None:
            raise RegistryError(
                f"{self._cache.folder}: {digest} of {self._target.canonical} is lost or damaged; "
                "run again to fetch it"
            )
        return content
