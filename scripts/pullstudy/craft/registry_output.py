"""Crafted images straight into a registry: nothing touches the disk."""

from __future__ import annotations

from collections.abc import Iterable

from pullstudy.craft.base import BaseImage
from pullstudy.craft.image import MANIFEST_TYPE, ImageDocuments
from pullstudy.craft.journal import Journal
from pullstudy.craft.layers import Layer
from pullstudy.craft.plan import PlannedImage
from pullstudy.craft.stream import Blob, LayerStream, Watch, measure_layer
from pullstudy.registry.push import BlobRequest, RepositoryPusher


class RegistryOutput:
    """One repository of a registry."""

    def __init__(self, pusher: RepositoryPusher, journal: Journal, layers_at_once: int = 1) -> None:
        self.layers_at_once = layers_at_once
        self._pusher = pusher
        self._journal = journal
        self._name = f"{pusher.registry}/{pusher.repository}"

    def prepare(self, images: list[PlannedImage]) -> None:
        """Make sure that the registry lets us push, before anything is generated."""
        if images:
            self._pusher.check_permission()

    def find_manifest(self, tag: str) -> bytes | None:
        """Return the manifest that stands under a tag."""
        found = self._pusher.get_manifest(tag, (MANIFEST_TYPE,))
        return found[0] if found and found[1] == MANIFEST_TYPE else None

    def put_layer(self, layer: Layer, watch: Watch) -> Blob:
        """Generate and send a layer, unless the registry is known to have it."""
        known = self._journal.find_blob(layer.recipe)
        if known and self._is_there(known.digest, self._journal.repositories(layer.recipe)):
            self._journal.keep_blob(self._name, layer.recipe, known)
            return known
        if not layer.order.is_compressed:
            layer = measure_layer(layer)
        stream = LayerStream(layer, watch)
        request = BlobRequest(
            layer.compressed_bytes,
            lambda: stream,
            self._journal.find_upload(self._name, layer.recipe),
            lambda url: self._journal.keep_upload(self._name, layer.recipe, url),
        )
        self._pusher.push_blob(request)
        self._journal.keep_blob(self._name, layer.recipe, stream.blob)
        return stream.blob

    def put_base(self, blob: Blob, base: BaseImage) -> None:
        """Mount or send a layer of the base."""
        if not self._is_there(blob.digest, {base.source}):
            self._pusher.push_blob(BlobRequest(blob.size_bytes, lambda: base.open_blob(blob)))

    def put_image(self, tag: str, documents: ImageDocuments) -> None:
        """Send the config, then the manifest."""
        self._pusher.push_bytes(documents.config)
        self._pusher.put_manifest(tag, documents.manifest, MANIFEST_TYPE)

    def _is_there(self, digest: str, repositories: Iterable[str]) -> bool:
        """Whether the repository has a blob, or could take it over from another one."""
        if self._pusher.has_blob(digest):
            return True
        prefix = f"{self._pusher.registry}/"
        others = (name for name in repositories if name.startswith(prefix) and name != self._name)
        return any(self._pusher.mount_blob(digest, name.removeprefix(prefix)) for name in others)
