"""From a tag to its images: manifest, platforms of an index, configs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pullstudy.naming import is_digest
from pullstudy.registry.client import Manifest, RegistryClient, TagHead
from pullstudy.registry.documents import (
    IMAGE,
    INDEX,
    UnreadableDocument,
    classify_manifest,
    decode_manifest,
)
from pullstudy.registry.documents import Manifest as Document
from pullstudy.registry.journal import Failure, ImageRecord, TagRecord
from pullstudy.registry.platforms import IndexEntry, Platform, choose_entry, read_entries
from pullstudy.registry.transport import RequestFailed

# How cosign names what it attaches to an image.
_is_attachment = re.compile(r"sha256-[0-9a-f]{64}(\..+)?").fullmatch


def choose_tags(tags: Sequence[str], tags_max: int | None) -> list[str]:
    """Choose at most `tags_max` tags: `latest` first, then as listed, attachments last.

    A cap that took the first tags of the list would mostly miss `latest`, which stands for its
    repository, and could be used up by signatures.
    """
    if tags_max is None or len(tags) <= tags_max:
        return list(tags)
    return sorted(tags, key=lambda tag: (tag != "latest", bool(_is_attachment(tag))))[:tags_max]


def failure_of(exc: RequestFailed) -> Failure:
    """Write down a failed request."""
    return Failure(exc.reason, f"{exc.where}: {exc.detail}", exc.status, exc.is_mendable)


class TagReader:
    """Reads the tags of one repository.

    remembered: what its tags named when it was last harvested, so that a tag that has not moved
    costs a HEAD. heads_first: ask with HEAD always, because the registry's quota counts GETs.
    """

    def __init__(
        self,
        client: RegistryClient,
        repository: str,
        platforms: Sequence[Platform],
        remembered: Mapping[str, str],
        heads_first: bool,
    ) -> None:
        self._client = client
        self._repository = repository
        self._platforms = platforms
        self._remembered = remembered
        self._heads_first = heads_first

    async def read(self, tag: str) -> TagRecord:
        """Return what is under a tag; failed requests are part of it."""
        try:
            manifest = await self._get_manifest(tag)
        except RequestFailed as exc:
            return TagRecord(tag, failures=(failure_of(exc),))
        images: list[ImageRecord] = []
        failures: list[Failure] = []
        for found in await self._read_images(manifest):
            if isinstance(found, Failure):
                failures.append(found)
            else:
                images.append(found)
        return TagRecord(tag, manifest.digest, manifest.media_type, tuple(images), tuple(failures))

    async def _get_manifest(self, tag: str) -> Manifest:
        if is_digest(tag):
            return Manifest(tag, "", await self._client.get_manifest(self._repository, tag))
        head = await self._head(tag)
        if head is None:
            return await self._client.get_tag(self._repository, tag)
        content = await self._client.get_manifest(self._repository, head.digest)
        return Manifest(head.digest, head.media_type, content)

    async def _head(self, tag: str) -> TagHead | None:
        if self._heads_first or self._client.has(self._remembered.get(tag)):
            return await self._client.head_tag(self._repository, tag)
        return None

    async def _read_images(self, manifest: Manifest) -> list[ImageRecord | Failure]:
        try:
            document = decode_manifest(manifest.content)
        except UnreadableDocument:
            return []  # the tables say so, from the content
        kind = classify_manifest(document)
        if kind == IMAGE:
            return await self._read_image(manifest, document)
        found: list[ImageRecord | Failure] = []
        if kind == INDEX:
            entries = read_entries(document)
            for platform in self._platforms:
                entry = choose_entry(entries, platform)
                if entry is not None:
                    found += await self._read_child(entry)
        return found

    async def _read_child(self, entry: IndexEntry) -> list[ImageRecord | Failure]:
        if not is_digest(entry.digest):
            return [_bad_digest("manifest", entry.digest)]
        try:
            content = await self._client.get_manifest(self._repository, entry.digest)
        except RequestFailed as exc:
            return [failure_of(exc)]
        manifest = Manifest(entry.digest, entry.media_type or "", content)
        try:
            return await self._read_image(manifest, decode_manifest(content))
        except UnreadableDocument:
            return [ImageRecord(manifest.digest, manifest.media_type)]

    async def _read_image(
        self, manifest: Manifest, document: Document
    ) -> list[ImageRecord | Failure]:
        """Fetch the config of an image; without it the image still has its layers."""
        without = ImageRecord(manifest.digest, manifest.media_type)
        if document.config is None or not document.config.digest:
            return [without]
        digest = document.config.digest
        if not is_digest(digest):
            return [without, _bad_digest("config", digest)]
        try:
            await self._client.get_config(self._repository, digest)
        except RequestFailed as exc:
            return [without, failure_of(exc)]
        return [ImageRecord(manifest.digest, manifest.media_type, digest)]


def _bad_digest(part: str, digest: str) -> Failure:
    return Failure("invalid_digest", f"its {part} has the digest {digest[:100]!r}")
