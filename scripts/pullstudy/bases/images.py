"""Find an image, in a registry or in an OCI image layout, and open the blobs of its layers.

Sources: OCI image specification 1.1 (manifest, index, image layout), Docker image manifest version
2, schema 2. Addresses that a manifest gives for its layers (`urls`) are never asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import aiohttp
import msgspec

from pullstudy.bases.layout import LayoutFolder, split_layout_name
from pullstudy.errors import ImageError
from pullstudy.naming import is_digest, parse_reference
from pullstudy.registry.blobs import BlobReader
from pullstudy.registry.bodies import Receive
from pullstudy.registry.client import RegistryClient
from pullstudy.registry.connect import connect
from pullstudy.registry.documents import (
    IMAGE,
    INDEX,
    UnreadableDocument,
    classify_manifest,
    decode_manifest,
)
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform, choose_entry, describe_entries, read_entries
from pullstudy.registry.transport import Transport

_OCI_PREFIX = "oci:"
# An index may name an index; nobody needs more of them.
_INDEXES_MAX = 3

GetByDigest = Callable[[str], Awaitable[bytes]]


class LayerDescriptor(msgspec.Struct, frozen=True, rename="camel"):
    """What a manifest says of a layer; size in compressed bytes."""

    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    annotations: dict[str, str] | None = None


class _ConfigDescriptor(msgspec.Struct):
    digest: str


class _ImageManifest(msgspec.Struct):
    config: _ConfigDescriptor
    layers: list[LayerDescriptor]


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


class _Step(msgspec.Struct):
    created_by: str | None = None


class _Config(msgspec.Struct):
    rootfs: _RootFs = msgspec.field(default_factory=_RootFs)
    history: list[_Step] | None = None


class BlobSource(Protocol):
    """Where the layers of an image are; its bytes are not verified."""

    async def read(self, digest: str, size_bytes: int, receive: Receive) -> None:
        """Hand a whole blob on, piece by piece."""

    async def read_range(self, digest: str, first: int, end: int, size_bytes: int) -> bytes | None:
        """Return a part of a blob; None when the source cannot."""


@dataclass(frozen=True)
class Image:
    """One image for one platform, by its verified manifest.

    name: as it was asked for. diff_ids: digests of the unpacked layers, and commands: what made
    them, both as its config says. document_bytes: of manifest and config.
    """

    name: str
    digest: str
    config_digest: str
    layers: tuple[LayerDescriptor, ...]
    diff_ids: tuple[str, ...]
    commands: tuple[str, ...]
    blobs: BlobSource
    document_bytes: int = 0

    @property
    def compressed_bytes(self) -> int:
        """Bytes on the wire: layers, config and manifest."""
        return sum(layer.size for layer in self.layers) + self.document_bytes


class ImageFinder:
    """Finds images of any registry, each asked through one connection of its own."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: HarvestSettings, platform: Platform
    ) -> None:
        self._session = session
        self._settings = settings
        self._platform = platform
        self._transports: dict[str, Transport] = {}

    async def find(self, name: str) -> Image:
        """Find `oci:DIR[:TAG]`, or a reference into a registry (tag `latest` when none is written).

        Raises InvalidReference, RequestFailed, or ImageError when it is no image for the platform.
        """
        if name.startswith(_OCI_PREFIX):
            return await self._find_in_layout(name)
        reference = parse_reference(name)
        transport = await self._connect(reference.registry)
        client = RegistryClient(transport, _Memory())
        blobs = BlobReader(transport, reference.repository)
        if reference.digest:
            digest = reference.digest
            content = await client.get_manifest(reference.repository, digest)
        else:
            manifest = await client.get_tag(reference.repository, reference.tag or "latest")
            digest, content = manifest.digest, manifest.content

        async def get_manifest(digest: str) -> bytes:
            return await client.get_manifest(reference.repository, digest)

        async def get_config(digest: str) -> bytes:
            return await client.get_config(reference.repository, digest)

        return await self._describe(name, digest, content, blobs, get_manifest, get_config)

    async def _find_in_layout(self, name: str) -> Image:
        folder, wanted = split_layout_name(name.removeprefix(_OCI_PREFIX))
        layout = LayoutFolder(folder)
        digest = layout.find_manifest(wanted)
        content = await layout.get(digest)
        return await self._describe(name, digest, content, layout, layout.get, layout.get)

    async def _describe(
        self,
        name: str,
        digest: str,
        content: bytes,
        blobs: BlobSource,
        get_manifest: GetByDigest,
        get_config: GetByDigest,
    ) -> Image:
        """Follow indexes down to the image for the platform."""
        for _ in range(_INDEXES_MAX):
            child = self._choose_child(name, content)
            if child is None:
                break
            digest, content = child, await get_manifest(child)
        try:
            manifest = msgspec.json.decode(content, type=_ImageManifest)
            _check_digests(name, [manifest.config.digest, *(m.digest for m in manifest.layers)])
            config_content = await get_config(manifest.config.digest)
            config = msgspec.json.decode(config_content, type=_Config)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ImageError(f"{name}: its manifest or config cannot be read: {exc}") from exc
        return Image(
            name,
            digest,
            manifest.config.digest,
            tuple(manifest.layers),
            tuple(config.rootfs.diff_ids),
            tuple(step.created_by for step in config.history or () if step.created_by is not None),
            blobs,
            len(content) + len(config_content),
        )

    def _choose_child(self, name: str, content: bytes) -> str | None:
        """Return the digest of an index's image for the platform; None where this is an image."""
        try:
            document = decode_manifest(content)
        except UnreadableDocument as exc:
            raise ImageError(f"{name}: its manifest cannot be read: {exc.detail}") from exc
        kind = classify_manifest(document)
        if kind == IMAGE:
            return None
        if kind != INDEX:
            raise ImageError(f"{name}: no image of files but of the kind {kind!r}; choose another")
        entries = read_entries(document)
        entry = choose_entry(entries, self._platform)
        if entry is None:
            offered = describe_entries(entries)
            raise ImageError(f"{name}: there is none for {self._platform}; choose of {offered}")
        _check_digests(name, [entry.digest])
        return entry.digest

    async def _connect(self, registry: str) -> Transport:
        if registry not in self._transports:
            self._transports[registry] = await connect(self._session, registry, self._settings)
        return self._transports[registry]


class _Memory(dict[str, bytes]):
    """Manifests and configs of one image: nothing of it goes to disk."""

    def put(self, digest: str, content: bytes) -> None:
        self[digest] = content


def _check_digests(name: str, digests: list[str]) -> None:
    for digest in digests:
        if not is_digest(digest):
            raise ImageError(f"{name}: its manifest holds the wrong digest {digest[:100]!r}")
