"""Read the manifests and configs of many images at the same time; nothing else is fetched.

An image takes at most five requests: the manifest that its tag names (refused once, where the
registry wants a token), the token, the platform's manifest of an index, and the config.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import msgspec

from pullstudy.bases.layout import LayoutFolder, split_layout_name
from pullstudy.errors import ConfigError, ImageError, PullstudyError
from pullstudy.inspection.documents import (
    ImageConfig,
    ImageManifest,
    decode_image_config,
    decode_image_manifest,
)
from pullstudy.naming import Reference, parse_reference
from pullstudy.registry.client import RegistryClient
from pullstudy.registry.connect import connect
from pullstudy.registry.documents import (
    IMAGE,
    INDEX,
    UnreadableDocument,
    classify_manifest,
    decode_manifest,
)
from pullstudy.registry.documents import Manifest as Document
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform, choose_entry, describe_entries, read_entries
from pullstudy.registry.transport import open_session

_OCI_PREFIX = "oci:"
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class ReadImage:
    """What is known of one image.

    kind: image, or what else its name stands for (schema1, artifact, unknown), or `absent`: an
    index without the platform. Only an image has a manifest and a config. digest: of the manifest
    that the name stands for. offered: the platforms of an index, in words.
    """

    name: str
    reference: Reference | None
    platform: Platform
    kind: str
    digest: str
    manifest_bytes: int
    offered: str = ""
    manifest: ImageManifest | None = field(default=None, repr=False)
    config: ImageConfig | None = field(default=None, repr=False)


def read_images(
    names: Iterable[str],
    settings: HarvestSettings,
    platform: Platform,
    count: Callable[[], None] = lambda: None,
) -> dict[str, ReadImage | PullstudyError]:
    """Read images, all at the same time; in the order of the names, each once.

    An image that cannot be read has its error for a result. count: called after each. Raises
    ConfigError when the credentials cannot be read.
    """
    return asyncio.run(_read_all(list(dict.fromkeys(names)), settings, platform, count))


def read_manifests(
    names: Iterable[str], settings: HarvestSettings, platform: Platform
) -> list[ImageManifest]:
    """Read the manifests of images, each once. Raises the first error; ImageError for no image."""
    manifests = []
    for name, image in read_images(names, settings, platform).items():
        if isinstance(image, PullstudyError):
            raise image
        if image.manifest is None:
            raise ImageError(f"{name}: no image for {platform} but of the kind {image.kind!r}")
        manifests.append(image.manifest)
    return manifests


async def _read_all(
    names: list[str], settings: HarvestSettings, platform: Platform, count: Callable[[], None]
) -> dict[str, ReadImage | PullstudyError]:
    async with open_session() as session:
        reader = _Reader(session, settings, platform)

        async def read(name: str) -> ReadImage | PullstudyError:
            try:
                return await reader.read(name)
            except ConfigError:
                raise
            except PullstudyError as exc:
                return exc
            finally:
                count()

        return dict(zip(names, await asyncio.gather(*map(read, names)), strict=True))


class _Memory(dict[str, bytes]):
    """Manifests and configs: nothing of them goes to disk."""

    def put(self, digest: str, content: bytes) -> None:
        self[digest] = content


class _RegistryStore:
    """Documents of one repository."""

    def __init__(self, client: RegistryClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    async def find(self, reference: Reference) -> tuple[str, bytes]:
        if reference.digest:
            return reference.digest, await self.get_manifest(reference.digest)
        manifest = await self._client.get_tag(self._repository, reference.tag or "latest")
        return manifest.digest, manifest.content

    async def get_manifest(self, digest: str) -> bytes:
        return await self._client.get_manifest(self._repository, digest)

    async def get_config(self, digest: str) -> bytes:
        return await self._client.get_config(self._repository, digest)


class _LayoutStore:
    """Documents of an OCI image layout."""

    def __init__(self, layout: LayoutFolder) -> None:
        self._layout = layout

    async def get_manifest(self, digest: str) -> bytes:
        return await self._layout.get(digest)

    get_config = get_manifest


class _Reader:
    """Reads images of any registry, each asked through connections of its own."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: HarvestSettings, platform: Platform
    ) -> None:
        self._session = session
        self._settings = settings
        self._platform = platform
        self._clients: dict[str, asyncio.Task[RegistryClient]] = {}

    async def read(self, name: str) -> ReadImage:
        """Raises InvalidReference, RequestFailed or ImageError."""
        if name.startswith(_OCI_PREFIX):
            folder, tag = split_layout_name(name.removeprefix(_OCI_PREFIX))
            layout = LayoutFolder(folder)
            digest = layout.find_manifest(tag)
            content = await layout.get(digest)
            return await self._describe(name, None, digest, content, _LayoutStore(layout))
        reference = parse_reference(name)
        store = _RegistryStore(await self._client(reference.registry), reference.repository)
        digest, content = await store.find(reference)
        return await self._describe(name, reference, digest, content, store)

    async def _client(self, registry: str) -> RegistryClient:
        """The one client of a registry, whoever asks for it first."""
        if registry not in self._clients:
            self._clients[registry] = asyncio.create_task(self._open_client(registry))
        return await self._clients[registry]

    async def _open_client(self, registry: str) -> RegistryClient:
        return RegistryClient(await connect(self._session, registry, self._settings), _Memory())

    async def _describe(
        self,
        name: str,
        reference: Reference | None,
        digest: str,
        content: bytes,
        store: _RegistryStore | _LayoutStore,
    ) -> ReadImage:
        make = partial(ReadImage, name, reference, self._platform, digest=digest)
        document, kind = _classify(name, content)
        offered = ""
        if kind == INDEX:
            entries = read_entries(document)
            offered = describe_entries(entries)
            entry = choose_entry(entries, self._platform)
            if entry is None:
                return make(kind="absent", manifest_bytes=0, offered=offered)
            content = await store.get_manifest(entry.digest)
            document, kind = _classify(name, content)
        if kind != IMAGE:
            return make(kind=kind, manifest_bytes=len(content), offered=offered)
        try:
            manifest = decode_image_manifest(content)
            config = decode_image_config(await store.get_config(manifest.config.digest))
        except _DECODE_ERRORS as exc:
            raise ImageError(f"{name}: its manifest or config cannot be read: {exc}") from exc
        size = len(content)
        return make(
            kind=kind, manifest_bytes=size, offered=offered, manifest=manifest, config=config
        )


def _classify(name: str, content: bytes) -> tuple[Document, str]:
    try:
        document = decode_manifest(content)
    except UnreadableDocument as exc:
        raise ImageError(f"{name}: its manifest cannot be read: {exc.detail}") from exc
    return document, classify_manifest(document)
