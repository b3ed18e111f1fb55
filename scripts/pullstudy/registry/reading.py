"""From a tag to its images: manifest, platforms of an index, configs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pullstudy.naming import is_digest
from pullstudy.registry.client import Manifest, RegistryClient, TagHead
from pullstudy.registry.documents import (
    ARTIFACT,
    IMAGE,
    INDEX,
    UnreadableDocument,
    classify_manifest,
    decode_config,
    decode_manifest,
)
from pullstudy.registry.documents import Manifest as Document
from pullstudy.registry.journal import Failure, ImageRecord, TagRecord
from pullstudy.registry.platforms import (
    IndexEntry,
    Platform,
    PlatformEntry,
    choose_entry,
    describe_entries,
    read_entries,
)
from pullstudy.registry.transport import RequestFailed

# Indexes may hold indexes; no tool is known that goes deeper.
_NESTED_MAX = 3
# Entries without platform of which the configs are read to find the one that fits.
_UNLABELLED_MAX = 16
# How cosign names what it attaches to an image, and the OCI distribution specification 1.1 the
# list of all that refers to one ("Referrers Tag Schema").
_is_attachment = re.compile(r"sha256-[0-9a-f]{64}(\..+)?").fullmatch

Found = ImageRecord | Failure


def choose_tags(tags: Sequence[str], tags_max: int | None) -> list[str]:
    """Choose at most `tags_max` tags: `latest` first, then as listed, attachments last.

    A cap that took the first tags of the list would mostly miss `latest`, which stands for its
    repository, and could be used up by signatures.
    """
    if tags_max is None or len(tags) <= tags_max:
        return list(tags)
    return sorted(tags, key=lambda tag: (tag != "latest", bool(_is_attachment(tag))))[:tags_max]


def classify_tag(tag: str, manifest: Document) -> str:
    """Say what a tag names; the list of what refers to an image is an artifact, no index."""
    kind = classify_manifest(manifest)
    return ARTIFACT if kind == INDEX and _is_attachment(tag) else kind


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
        for found in await self._read_images(tag, manifest):
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

    async def _read_images(self, tag: str, manifest: Manifest) -> list[Found]:
        try:
            document = decode_manifest(manifest.content)
        except UnreadableDocument:
            return []  # the tables say so, from the content
        kind = classify_tag(tag, document)
        if kind == IMAGE:
            return await self._read_image(manifest, document)
        if kind != INDEX:
            return []
        misfits: list[str] = []
        read_entries(document, misfits)
        found: list[Found] = [Failure("invalid_index_entry", misfit) for misfit in misfits]
        for platform in self._platforms:
            found += await self._read_platform(document, platform, _NESTED_MAX)
        return found

    async def _read_platform(self, index: Document, platform: Platform, depth: int) -> list[Found]:
        """Return the image that an index holds for a platform, or why there is none.

        Entries that name no platform are asked for theirs where no other fits.
        """
        entries = read_entries(index)
        entry = choose_entry(entries, platform)
        if entry is not None:
            return await self._read_child(entry, platform, depth)
        failures: list[Found] = []
        for entry in [entry for entry in entries if entry.is_unlabelled][:_UNLABELLED_MAX]:
            found = await self._read_child(entry, platform, depth)
            for image in found:
                if isinstance(image, ImageRecord) and await self._is_for(image, platform):
                    return found
            failures += [failure for failure in found if isinstance(failure, Failure)]
        detail = f"the index has nothing for {platform}; it offers {describe_entries(entries)}"
        return failures or [Failure("platform_missing", detail)]

    async def _is_for(self, image: ImageRecord, platform: Platform) -> bool:
        """Whether the config of an image, which was read, is for a platform."""
        if image.config is None:
            return False
        try:
            config = decode_config(await self._client.get_config(self._repository, image.config))
        except (RequestFailed, UnreadableDocument):
            return False
        return platform.fits(PlatformEntry(config.os, config.architecture, config.variant))

    async def _read_child(self, entry: IndexEntry, platform: Platform, depth: int) -> list[Found]:
        if not is_digest(entry.digest):
            return [_bad_digest("manifest", entry.digest)]
        try:
            content = await self._client.get_manifest(self._repository, entry.digest)
        except RequestFailed as exc:
            return [failure_of(exc)]
        manifest = Manifest(entry.digest, entry.media_type or "", content)
        try:
            document = decode_manifest(content)
        except UnreadableDocument:
            return [ImageRecord(manifest.digest, manifest.media_type)]
        if classify_manifest(document) != INDEX:
            return await self._read_image(manifest, document)
        if depth == 1:
            detail = f"{entry.digest}: indexes in indexes, more than {_NESTED_MAX} deep"
            return [Failure("unknown_manifest", detail)]
        return await self._read_platform(document, platform, depth - 1)

    async def _read_image(self, manifest: Manifest, document: Document) -> list[Found]:
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
