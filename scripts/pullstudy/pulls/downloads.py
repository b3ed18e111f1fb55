"""Download manifests and blobs as a node does: verified, limited, and tried again when that helps.

Sources: OCI distribution specification 1.1 (pull), RFC 9110 section 14 (ranges: a blob whose
connection broke goes on where it was, as containerd does it).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import requests

from pullstudy.errors import ImageError
from pullstudy.naming import Reference, is_digest
from pullstudy.registry.auth import repository_scope
from pullstudy.registry.client import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from pullstudy.registry.content import digest_of
from pullstudy.registry.documents import INDEX, classify_manifest, decode_manifest
from pullstudy.registry.platforms import Platform, choose_entry, describe_entries, read_entries
from pullstudy.registry.session import Call, Session
from pullstudy.registry.transport import RequestFailed

_PIECE_BYTES = 1 << 18
_FIRST_BACKOFF_SECONDS = 0.5
_ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
_DOCUMENT_BYTES_MAX = 32 << 20
# An index may name an index; nobody needs more of them.
_INDEXES_MAX = 3
# What flows before the limit is felt; also how even the flow is.
_BURST_SECONDS = 0.02


class TokenBucket:
    """Bytes that may pass, so many per second, for all threads of a node together."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> None:
        """Wait until so many bytes have passed."""
        with self._lock:
            now = time.monotonic()
            start = max(self._free_at, now - _BURST_SECONDS)
            self._free_at = start + size_bytes / self._rate
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)


class LayerPart(msgspec.Struct, frozen=True, rename="camel"):
    """What a manifest says of a layer or a config."""

    digest: str
    size: int


class _Manifest(msgspec.Struct):
    config: LayerPart
    layers: list[LayerPart]


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


class _Config(msgspec.Struct):
    rootfs: _RootFs = msgspec.field(default_factory=_RootFs)


class ImageParts(msgspec.Struct, frozen=True):
    """What has to be downloaded; document_bytes: of manifest and config."""

    layers: tuple[LayerPart, ...]
    diff_ids: tuple[str | None, ...]
    document_bytes: int


class Downloader:
    """Downloads from one repository.

    bucket: limits the node's network. latency_seconds: each request waits so long in addition.
    attempts: requests that end in a temporary failure, one after the other, until one is final.
    """

    def __init__(
        self,
        session: Session,
        reference: Reference,
        *,
        bucket: TokenBucket | None = None,
        latency_seconds: float = 0.0,
        attempts: int = 3,
    ) -> None:
        self._session = session
        self._reference = reference
        self._bucket = bucket
        self._latency_seconds = latency_seconds
        self._attempts = attempts
        self._is_stopped = threading.Event()

    def find_image(self, platform: Platform) -> ImageParts:
        """Read manifest and config. Raises RequestFailed, or ImageError when they are no use."""
        wanted = self._reference.digest or self._reference.tag or "latest"
        content = self._get(f"manifests/{wanted}", wanted)
        for _ in range(_INDEXES_MAX):
            document = decode_manifest(content)
            if classify_manifest(document) != INDEX:
                break
            entries = read_entries(document)
            entry = choose_entry(entries, platform)
            if entry is None:
                offered = describe_entries(entries)
                raise ImageError(f"there is no image for {platform}; choose of {offered}")
            content = self._get(f"manifests/{entry.digest}", entry.digest)
        try:
            manifest = msgspec.json.decode(content, type=_Manifest)
            config_content = self._get(f"blobs/{manifest.config.digest}", manifest.config.digest)
            config = msgspec.json.decode(config_content, type=_Config)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ImageError(f"its manifest or config cannot be read: {exc}") from exc
        known = config.rootfs.diff_ids
        # Without diff IDs (some converters leave them out) there is nothing to compare with.
        diff_ids = known if len(known) == len(manifest.layers) else [None] * len(manifest.layers)
        return ImageParts(
            tuple(manifest.layers), tuple(diff_ids), len(content) + len(config_content)
        )

    def fetch(self, part: LayerPart, path: Path) -> None:
        """Download a blob into a file.

        Raises RequestFailed, ImageError when its bytes are others, OSError when it has no room.
        """
        if not is_digest(part.digest):
            raise ImageError(f"its manifest holds the wrong digest {part.digest[:100]!r}")
        digest = hashlib.new(part.digest.partition(":")[0])
        position, failures, is_complete = 0, 0, False
        with path.open("wb", buffering=0) as file:
            while not is_complete:
                before = position
                try:
                    for piece in self._stream(f"blobs/{part.digest}", position):
                        self._check(part, position + len(piece))
                        file.write(piece)
                        digest.update(piece)
                        position += len(piece)
                except RequestFailed as exc:
                    failures = failures + 1 if position == before else 1
                    self._wait_after(exc, failures)
                else:
                    is_complete = True
        if position != part.size or digest.hexdigest() != part.digest.partition(":")[2]:
            raise ImageError(f"{part.digest}: got {position} bytes of another digest")

    def stop(self) -> None:
        """Let downloads under way fail: the pull has."""
        self._is_stopped.set()

    def _check(self, part: LayerPart, position: int) -> None:
        if position > part.size:
            raise ImageError(f"{part.digest} is longer than its {part.size} bytes")
        if self._is_stopped.is_set():
            raise ImageError(f"{part.digest}: not needed any more")

    def _get(self, path: str, wanted: str) -> bytes:
        """Return a document; one that is named by its digest has it."""
        failures = 0
        while True:
            try:
                content = bytearray()
                for piece in self._stream(path, 0):
                    content += piece
                    if len(content) > _DOCUMENT_BYTES_MAX:
                        raise ImageError(f"{path} is longer than {_DOCUMENT_BYTES_MAX} bytes")
            except RequestFailed as exc:
                failures += 1
                self._wait_after(exc, failures)
            else:
                break
        if is_digest(wanted) and digest_of(bytes(content), wanted) != wanted:
            raise ImageError(f"{wanted}: got content of another digest")
        return bytes(content)

    def _wait_after(self, exc: RequestFailed, failures: int) -> None:
        """Wait for the next attempt; raises what is no temporary failure, or one too many."""
        if not exc.temporary or failures >= self._attempts:
            raise exc
        time.sleep(_FIRST_BACKOFF_SECONDS * 2.0 ** (failures - 1))

    def _stream(self, path: str, position: int) -> Iterator[bytes]:
        """Yield the pieces of an answer from `position` on."""
        if self._latency_seconds:
            time.sleep(self._latency_seconds)
        headers = {"Accept": _ACCEPT}
        if position:
            headers["Range"] = f"bytes={position}-"
        name = self._reference.repository
        url, scope = f"/v2/{name}/{path}", repository_scope(name)
        call = Call("GET", url, scope, (200, 206), headers, is_streamed=True)
        response = self._session.send(call)
        skip = position if response.status_code == requests.codes.ok else 0
        with self._session.translate(url), response:
            for piece in response.iter_content(_PIECE_BYTES):
                if self._bucket:
                    self._bucket.take(len(piece))
                # A server that knows no ranges begins anew.
                yield piece[skip:]
                skip = max(0, skip - len(piece))
