"""Harvest repositories of live registries into the registry tables.

Names → lists of tags → manifests and configs (cache) and what was found (journal) → tables. All
registries are asked at once, each within its own limits; whatever ends the harvest, the next run
goes on where it stopped, and the tables at its end are those of an uninterrupted one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path

import aiohttp

from pullstudy.errors import ConfigError, PullstudyError, RegistryError
from pullstudy.registry.cache import ContentCache, TagMemory
from pullstudy.registry.client import RegistryClient
from pullstudy.registry.connect import connect
from pullstudy.registry.harvested import HarvestSummary, open_journal, wanted_tags, write_harvest
from pullstudy.registry.journal import Failure, Journal, Listed, TagRecord, has_journal
from pullstudy.registry.plan import HarvestSettings, Progress, Target, plan_targets
from pullstudy.registry.reading import TagReader, failure_of
from pullstudy.registry.transport import RequestFailed, Transport, open_session

_STATE_FOLDER = ".harvest"

Display = Callable[[Progress], Coroutine[None, None, None]]


def harvest(
    names: Iterable[str],
    folder: Path,
    cache_folder: Path,
    settings: HarvestSettings,
    display: Display | None = None,
) -> HarvestSummary:
    """Harvest repositories and write tags, images, layers, history, failures, coverage there.

    names: repositories as a source wrote them, `name:tag` for one tag only. cache_folder: contents
    by digest, shared by all harvests. display: runs beside the harvest and shows its progress.
    Raises RegistryError or ConfigError when the harvest cannot go on; nothing done is lost.
    """
    targets, refused = plan_targets(names)
    with (
        _hold(folder / _STATE_FOLDER) as journals,
        contextlib.closing(ContentCache(cache_folder / "content")) as cache,
    ):
        run = _Harvest(settings, cache, TagMemory(cache_folder / "tags"), journals)
        try:
            asyncio.run(run.harvest_all(targets, display))
        except BaseExceptionGroup as group:
            # Tasks run in groups; what the user can act on is a single error in them.
            ours = group.subgroup(PullstudyError)
            if ours is None:
                raise
            raise _first_of(ours) from group
        return write_harvest(targets, refused, journals, cache, settings, folder)


class _Harvest:
    """One run: the session and what all registries share."""

    def __init__(
        self, settings: HarvestSettings, cache: ContentCache, memory: TagMemory, journals: Path
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._memory = memory
        self._journals = journals
        self._progress = Progress()

    async def harvest_all(self, targets: list[Target], display: Display | None) -> None:
        """Ask all registries at once."""
        by_registry: dict[str, list[Target]] = defaultdict(list)
        for target in targets:
            by_registry[target.registry].append(target)
        self._progress.repositories = len(targets)
        shown = asyncio.create_task(display(self._progress)) if display else None
        try:
            async with open_session() as session, asyncio.TaskGroup() as group:
                for registry, wanted in by_registry.items():
                    group.create_task(self._harvest_registry(session, registry, wanted))
        finally:
            if shown is not None:
                shown.cancel()
                await asyncio.wait([shown])

    async def _harvest_registry(
        self, session: aiohttp.ClientSession, registry: str, targets: list[Target]
    ) -> None:
        try:
            transport = await connect(session, registry, self._settings)
        except ConfigError as exc:
            for target in targets:
                self._give_up(target, Failure("credentials", str(exc), mendable=True))
            return
        self._progress.limiters[registry] = transport.limiter
        client = RegistryClient(transport, self._cache)
        # As with tags: repositories that were never asked for come first.
        left = iter(sorted(targets, key=lambda t: has_journal(self._journals, t.canonical)))

        async def work() -> None:
            for target in left:
                if not transport.is_lost:
                    await self._harvest_repository(client, transport, target)
                self._progress.repositories_done += 1

        await _run_workers(work, min(transport.limiter.limits.concurrency, len(targets)))

    def _give_up(self, target: Target, failure: Failure) -> None:
        """Write down why a repository cannot be asked; what is known of it already stays."""
        with contextlib.closing(self._open_journal(target)) as journal:
            if target.tags is None and not journal.is_listed:
                journal.add(Listed(_known_tags(journal), failure))
            for tag in target.tags or ():
                if not self._is_done(journal, tag):
                    journal.add(TagRecord(tag, failures=(failure,)))
        self._progress.failures += 1
        self._progress.repositories_done += 1

    async def _harvest_repository(
        self, client: RegistryClient, transport: Transport, target: Target
    ) -> None:
        with contextlib.closing(self._open_journal(target)) as journal:
            if target.tags is None and not journal.is_listed:
                await self._list_tags(client, target, journal)
            wanted = wanted_tags(target, journal, self._settings.tags_max)
            left = [tag for tag in wanted if not self._is_done(journal, tag)]
            # What failed before comes last, lest it keep the rest from being read for ever.
            left.sort(key=journal.__contains__)
            self._progress.tags += len(wanted)
            self._progress.tags_done += len(wanted) - len(left)
            self._progress.tags_found_done += len(wanted) - len(left)
            remembered = self._memory.load(target.canonical)
            reader = TagReader(
                client,
                target.repository,
                self._settings.platforms,
                remembered,
                transport.limiter.limits.counts_manifests_only,
            )
            await self._read_tags(reader, transport, journal, left)
            if left:
                fresh = {found.tag: found.digest for found in journal.records() if found.digest}
                self._memory.save(target.canonical, remembered | fresh)

    async def _list_tags(self, client: RegistryClient, target: Target, journal: Journal) -> None:
        tags: list[str] = []
        failure = None
        try:
            async for page in client.tag_pages(target.repository):
                tags += page
        except RequestFailed as exc:
            failure = failure_of(exc)
            self._progress.failures += 1
            tags = list(dict.fromkeys([*_known_tags(journal), *tags]))
        journal.add(Listed(tuple(tags), failure))

    async def _read_tags(
        self, reader: TagReader, transport: Transport, journal: Journal, tags: list[str]
    ) -> None:
        left = iter(tags)

        async def work() -> None:
            for tag in left:
                if transport.is_lost:
                    return
                record = await reader.read(tag)
                journal.add(record)
                self._progress.tags_done += 1
                self._progress.failures += len(record.failures)

        await _run_workers(work, min(transport.limiter.limits.concurrency, len(tags)))

    def _is_done(self, journal: Journal, tag: str) -> bool:
        """Whether a tag was read, and all that it led to is still in the cache."""
        record = journal.get(tag)
        return (
            record is not None
            and record.is_final
            and all(digest in self._cache for digest in record.digests)
        )

    def _open_journal(self, target: Target) -> Journal:
        return open_journal(self._journals, target, self._settings)


def _known_tags(journal: Journal) -> tuple[str, ...]:
    return journal.listed.tags if journal.listed else ()


async def _run_workers(work: Callable[[], Coroutine[None, None, None]], count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(work())


def _first_of(group: BaseExceptionGroup[PullstudyError]) -> PullstudyError:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


@contextlib.contextmanager
def _hold(folder: Path) -> Iterator[Path]:
    """Keep other harvests out of a folder. Raises RegistryError when one is at work there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise RegistryError(
                f"{folder.parent}: another harvest is at work there; wait for it, or take "
                "another folder"
            ) from exc
        except OSError:
            pass  # a file system without locks
        yield folder
