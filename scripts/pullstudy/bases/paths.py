"""Read which files an image has: layers are streamed, and only their headers are kept.

Nothing is written to disk and nothing is executed. A layer that carries an eStargz table of
contents is not streamed: only the table is fetched.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from pullstudy.bases.entries import Entry
from pullstudy.bases.estargz import (
    FOOTER_BYTES,
    TOC_DIGEST_ANNOTATION,
    find_toc,
    hide_own_files,
    read_toc,
)
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.images import Image, LayerDescriptor
from pullstudy.bases.limits import Budget, ReadLimits
from pullstudy.bases.tar_scanner import TarScanner
from pullstudy.bases.tree import FileTree, FoundFile
from pullstudy.bases.unpack import Unpacker
from pullstudy.errors import ImageError

# Work for a thread: less of it costs more to hand over than to do.
_PORTION_BYTES = 256 << 10
# Fetched at once from the end of an eStargz layer: footer, and the whole table of small layers.
_TAIL_BYTES = 64 << 10

Result = TypeVar("Result")


@dataclass
class ReadProgress:
    """How far the reading of one image is."""

    layers: int = 0
    layers_done: int = 0
    fetched_bytes: int = 0
    tocs: int = 0


@dataclass(frozen=True)
class ReadSettings:
    """How an image is read.

    with_digests: hash the contents of all files. layers_at_once: layers that are streamed at the
    same time.
    """

    limits: ReadLimits = field(default_factory=ReadLimits)
    with_digests: bool = False
    layers_at_once: int = 4


@dataclass(frozen=True)
class ImageFiles:
    """The files of an image, without its folders, and what it took to find them."""

    image: Image
    files: tuple[FoundFile, ...]
    progress: ReadProgress

    @property
    def paths(self) -> frozenset[str]:
        """All paths, as a walk over the unpacked image gives them: links to folders are folders.

        Where absolute links lead depends on the root they are seen from; they count as files.
        """
        return frozenset(file.path for file in self.files if not file.is_to_folder)


async def read_files(
    image: Image, settings: ReadSettings, progress: ReadProgress | None = None
) -> ImageFiles:
    """Read the files of an image.

    Raises RequestFailed when a layer cannot be fetched, and ImageError for one that is damaged,
    that no runtime would unpack, or that goes beyond the limits.
    """
    limits = settings.limits
    reading = _Reading(image, settings, progress or ReadProgress())
    try:
        async with asyncio.timeout(limits.seconds_max):
            return await reading.read()
    except LayerFault as exc:
        raise ImageError(f"{image.name}: {exc}") from exc
    except TimeoutError as exc:
        raise ImageError(
            f"{image.name}: not read within {limits.seconds_max:,.0f} seconds; "
            "raise the limit if you trust the image"
        ) from exc


class _Reading:
    """The reading of one image."""

    def __init__(self, image: Image, settings: ReadSettings, progress: ReadProgress) -> None:
        self._image = image
        self._settings = settings
        self._progress = progress
        self._budget = Budget(settings.limits)
        self._places = asyncio.Semaphore(settings.layers_at_once)

    async def read(self) -> ImageFiles:
        self._check_claims()
        tree = FileTree(self._budget)
        # A layer may be there more than once; it is fetched once.
        distinct = {layer.digest: layer for layer in self._image.layers}
        tasks = {
            digest: asyncio.create_task(self._read_layer(layer))
            for digest, layer in distinct.items()
        }
        self._progress.layers = len(tasks)
        try:
            for layer in self._image.layers:
                entries = await tasks[layer.digest]
                await self._blame(layer, asyncio.to_thread(tree.apply, entries))
            files = await asyncio.to_thread(lambda: tuple(tree.files()))
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return ImageFiles(self._image, files, self._progress)

    def _check_claims(self) -> None:
        limits = self._settings.limits
        layers = self._image.layers
        size_bytes = sum(layer.size for layer in layers)
        for found, limit, what in (
            (len(layers), limits.layers_max, "layers"),
            (size_bytes, limits.compressed_bytes_max, "compressed bytes"),
        ):
            if found > limit:
                raise ImageError(
                    f"{self._image.name}: has {found:,} {what}, more than {limit:,}; "
                    "raise the limit if you trust the image"
                )

    async def _read_layer(self, layer: LayerDescriptor) -> list[Entry]:
        async with self._places:
            toc_digest = (layer.annotations or {}).get(TOC_DIGEST_ANNOTATION)
            entries = None
            if toc_digest is not None:
                entries = await self._blame(layer, self._read_toc(layer, toc_digest))
            if entries is None:
                entries = hide_own_files(await self._blame(layer, self._stream(layer)))
            self._progress.layers_done += 1
            return entries

    async def _read_toc(self, layer: LayerDescriptor, toc_digest: str) -> list[Entry] | None:
        """Read the table of contents; None when the layer has to be streamed after all."""
        first = max(0, layer.size - _TAIL_BYTES)
        tail = await self._fetch_end(layer, first)
        if tail is None:
            return None
        toc_offset = find_toc(tail[-FOOTER_BYTES:], layer.size)
        if toc_offset is None or layer.size - toc_offset > self._settings.limits.toc_bytes_max:
            return None
        if toc_offset < first:
            start = await self._fetch_end(layer, toc_offset, first)
            if start is None:
                return None
            tail, first = start + tail, toc_offset
        entries = await asyncio.to_thread(
            read_toc,
            tail[toc_offset - first : -FOOTER_BYTES],
            toc_digest,
            self._budget,
            with_digests=self._settings.with_digests,
        )
        self._progress.tocs += entries is not None
        return entries

    async def _fetch_end(
        self, layer: LayerDescriptor, first: int, end: int | None = None
    ) -> bytes | None:
        end = layer.size if end is None else end
        part = await self._image.blobs.read_range(layer.digest, first, end, layer.size)
        self._progress.fetched_bytes += len(part or b"")
        return part

    async def _stream(self, layer: LayerDescriptor) -> list[Entry]:
        scan = _LayerScan(layer.digest, self._budget, self._settings.with_digests)
        waiting = bytearray()

        async def receive(piece: bytes) -> None:
            self._budget.check_time()
            self._progress.fetched_bytes += len(piece)
            waiting.extend(piece)
            if len(waiting) >= _PORTION_BYTES:
                portion = bytes(waiting)
                waiting.clear()
                await asyncio.to_thread(scan.feed, portion)

        await self._image.blobs.read(layer.digest, layer.size, receive)
        return await asyncio.to_thread(scan.finish, bytes(waiting))

    async def _blame(self, layer: LayerDescriptor, work: Awaitable[Result]) -> Result:
        """Say in an error which layer it is about."""
        try:
            return await work
        except LayerFault as exc:
            raise ImageError(f"{self._image.name}: layer {layer.digest}: {exc}") from exc


class _LayerScan:
    """One layer on its way from compressed bytes to entries."""

    def __init__(self, digest: str, budget: Budget, with_digests: bool) -> None:
        self._digest = digest
        self._found = hashlib.new(digest.partition(":")[0])
        self._budget = budget
        self._unpacker = Unpacker()
        self._scanner = TarScanner(budget, with_digests=with_digests)

    def feed(self, data: bytes) -> None:
        self._found.update(data)
        self._budget.check_time()
        for plain in self._unpacker.feed(data):
            self._scanner.feed(plain)

    def finish(self, data: bytes) -> list[Entry]:
        """Take the last bytes; the entries count only when all bytes were the right ones."""
        self.feed(data)
        self._unpacker.finish()
        entries = self._scanner.finish()
        found = f"{self._found.name}:{self._found.hexdigest()}"
        if found != self._digest:
            raise LayerFault(f"its bytes have the digest {found}; fetch it again")
        return entries
