"""Read many images one after the other, or a few at once; what fails does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from pullstudy.bases.images import Image, ImageFinder
from pullstudy.bases.paths import ImageFiles, ReadProgress, ReadSettings, read_files
from pullstudy.errors import ConfigError, PullstudyError
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform
from pullstudy.registry.transport import open_session

Result = TypeVar("Result")
LINUX_AMD64 = Platform("linux", "amd64")
# What is read at the moment, by name of the image.
Watch = dict[str, ReadProgress]
Display = Callable[[Watch], Coroutine[None, None, None]]
Work = Callable[[ImageFinder, str], Coroutine[None, None, Result]]


@dataclass(frozen=True)
class RunSettings:
    """How registries are reached (of a harvest's settings only this), and how images are read."""

    registries: HarvestSettings = field(default_factory=HarvestSettings)
    platform: Platform = LINUX_AMD64
    reading: ReadSettings = field(default_factory=ReadSettings)
    images_at_once: int = 2


def read_images(
    names: Iterable[str],
    settings: RunSettings,
    use: Callable[[ImageFiles], Result],
    display: Display | None = None,
) -> dict[str, Result | PullstudyError]:
    """Read images and make a result of the files of each; in the order of the names, each once.

    An image that cannot be read has its error for a result. use: runs in a thread. display: runs
    beside and shows the progress. Raises ConfigError when the credentials cannot be read.
    """
    watch: Watch = {}

    async def read(finder: ImageFinder, name: str) -> Result:
        progress = watch[name] = ReadProgress()
        try:
            files = await read_files(await finder.find(name), settings.reading, progress)
            return await asyncio.to_thread(use, files)
        finally:
            del watch[name]

    shown = [display(watch)] if display else []
    return asyncio.run(_work_on_all(names, settings, read, shown))


def find_images(names: Iterable[str], settings: RunSettings) -> dict[str, Image | PullstudyError]:
    """Find images by their manifests and configs only; otherwise as `read_images`."""

    async def find(finder: ImageFinder, name: str) -> Image:
        return await finder.find(name)

    return asyncio.run(_work_on_all(names, settings, find, []))


async def _work_on_all(
    names: Iterable[str],
    settings: RunSettings,
    work: Work[Result],
    beside: list[Coroutine[None, None, None]],
) -> dict[str, Result | PullstudyError]:
    wanted = list(dict.fromkeys(names))
    places = asyncio.Semaphore(settings.images_at_once)
    async with open_session() as session:
        finder = ImageFinder(session, settings.registries, settings.platform)

        async def work_on(name: str) -> Result | PullstudyError:
            async with places:
                try:
                    return await work(finder, name)
                except ConfigError:
                    raise
                except PullstudyError as exc:
                    return exc

        shown = [asyncio.create_task(each) for each in beside]
        tasks = [asyncio.create_task(work_on(name)) for name in wanted]
        try:
            return dict(zip(wanted, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in (*tasks, *shown):
                task.cancel()
            await asyncio.gather(*tasks, *shown, return_exceptions=True)
