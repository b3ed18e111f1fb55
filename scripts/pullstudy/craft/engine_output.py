"""Crafted images into a Docker Engine, as one stream that it loads while it is generated.

Format: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format". Layers
are sent as plain tars: the engine keeps them unpacked, and old ones read no Zstandard.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator

import docker
import orjson
import requests
from docker.errors import DockerException

from pullstudy.craft import tar_blocks
from pullstudy.craft.base import BaseImage
from pullstudy.craft.image import ImageDocuments
from pullstudy.craft.layers import Layer
from pullstudy.craft.plan import PlannedImage
from pullstudy.craft.stream import Blob, LayerStream, Stopped, Watch, measure_layer
from pullstudy.errors import CraftError
from pullstudy.registry.cache import digest_of
from pullstudy.registry.session import last_cause

# Blocks of about a MiB between the generator and the connection.
_BLOCKS_IN_FLIGHT = 4
# Loading unpacks at the end: the engine is silent for long.
_ANSWER_SECONDS = 3600
_CONNECTION_ERRORS = (DockerException, requests.exceptions.RequestException)


class EngineOutput:
    """The engine that the environment names (DOCKER_HOST), or the local one."""

    layers_at_once = 1

    def __init__(self, repository: str) -> None:
        """repository: what the images are called, before the tag.

        Raises CraftError when there is no engine.
        """
        self._repository = repository
        try:
            self._client = docker.from_env(timeout=_ANSWER_SECONDS)
            self._client.ping()
        except _CONNECTION_ERRORS as exc:
            raise CraftError(
                f"Docker Engine cannot be reached: {last_cause(exc)}; start it or set DOCKER_HOST"
            ) from exc
        self._load: _Load | None = None
        self._names: list[str] = []

    def prepare(self, images: list[PlannedImage]) -> None:
        """Nothing is known of the engine's disk before it is full."""

    def find_manifest(self, tag: str) -> bytes | None:
        """The engine keeps no manifests: every image is made."""
        del tag
        return None

    def put_layer(self, layer: Layer, watch: Watch) -> Blob:
        """Send a layer; the first one of an image opens the connection."""
        layer = measure_layer(layer)
        stream = LayerStream(layer, watch)
        self._send_file(
            f"{len(self._names):03d}.tar", layer.uncompressed_bytes, stream.plain_blocks()
        )
        return stream.blob

    def put_base(self, blob: Blob, base: BaseImage) -> None:
        """Send a layer of the base as it is; the engine unpacks it."""
        self._send_file(f"{len(self._names):03d}.tar", blob.size_bytes, base.open_blob(blob))

    def put_image(self, tag: str, documents: ImageDocuments) -> None:
        """Send config and list of layers, and wait until the engine has loaded them."""
        layers, config = list(self._names), f"{digest_of(documents.config)[7:]}.json"
        row = {"Config": config, "RepoTags": [f"{self._repository}:{tag}"], "Layers": layers}
        for name, content in ((config, documents.config), ("manifest.json", orjson.dumps([row]))):
            self._send_file(name, len(content), [memoryview(content)])
        load = self._connection()
        load.send(memoryview(tar_blocks.END_OF_ARCHIVE))
        self._load, self._names = None, []
        load.finish()

    def _connection(self) -> _Load:
        if self._load is None:
            self._load = _Load(self._client)
        return self._load

    def _send_file(self, name: str, size_bytes: int, blocks: Iterable[memoryview]) -> None:
        load = self._connection()
        try:
            load.send(memoryview(tar_blocks.file_header(name, size_bytes, 0o644)))
            for block in blocks:
                load.send(block)
            load.send(memoryview(bytes(tar_blocks.padding_bytes(size_bytes))))
        except BaseException:
            self._load, self._names = None, []
            load.abort()
            raise
        self._names.append(name)


class _Load:
    """One request that loads an image; its body is fed by another thread."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_BLOCKS_IN_FLIGHT)
        self._error: BaseException | None = None
        self._is_aborted = False
        self._thread = threading.Thread(target=self._run, name="docker-load", daemon=True)
        self._thread.start()

    def send(self, block: memoryview) -> None:
        """Queue a block. Raises CraftError when the engine has given up."""
        while self._thread.is_alive():
            try:
                # A copy: the generator uses its memory again.
                self._blocks.put(bytes(block), timeout=0.2)
            except queue.Full:
                continue
            return
        self.finish()

    def finish(self) -> None:
        """End the body and wait for the engine. Raises CraftError."""
        if self._thread.is_alive():
            self._blocks.put(None)
        self._thread.join()
        if self._error is not None:
            raise CraftError(
                f"Docker Engine did not load the image: {_one_line(self._error)}"
            ) from self._error

    def abort(self) -> None:
        """Break the connection: the engine forgets what it has."""
        self._is_aborted = True
        while self._thread.is_alive():
            try:
                self._blocks.put(None, timeout=0.2)
            except queue.Full:
                continue
            break
        self._thread.join()

    def _run(self) -> None:
        try:
            self._client.images.load(self._body())
        except Stopped:
            return
        except _CONNECTION_ERRORS as exc:
            self._error = exc

    def _body(self) -> Iterator[bytes]:
        while (block := self._blocks.get()) is not None:
            if block:
                yield block
        if self._is_aborted:
            raise Stopped


def _one_line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:300]
