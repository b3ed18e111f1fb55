"""Push to one repository: blobs in one pass, of which no byte has to be kept, and manifests.

A blob is a stream that can be generated again. It is sent in chunks; when the connection breaks,
the registry says how far it came, the stream is generated from its start and what is there already
is passed over. The digest is needed at the end only. Distribution 2.8 keeps an upload that ended
with a chunk, and throws away one that broke in the middle (registry/handlers/blobupload.go,
"upload resumed at wrong offest"): such a blob is sent from its beginning.

Source: OCI distribution specification 1.1 (pushing blobs in chunks, mounting, manifests).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urlencode, urljoin

import requests

from pullstudy.registry.auth import PULL_AND_PUSH, Credentials, repository_scope
from pullstudy.registry.cache import digest_of
from pullstudy.registry.session import Body, Call, Session
from pullstudy.registry.transport import RequestFailed

# Storage behind registries wants parts of at least 5 MiB; large ones cost fewer round trips.
CHUNK_BYTES = 64 << 20
# A registry that refuses a chunk may close the connection before its answer is read; the answer to
# a body as short as this one arrives.
_PROBE_BYTES = 64 << 10
_ATTEMPTS = 6
_FIRST_BACKOFF_SECONDS = 0.25
_read_range = re.compile(r"(?:bytes=)?0-(\d+)").fullmatch
_Answer = TypeVar("_Answer")


class BlobSource(Protocol):
    """The bytes of a blob; `digest` is known after the last block."""

    def __iter__(self) -> Iterator[memoryview]:
        """Generate the blocks."""

    @property
    def digest(self) -> str:
        """`sha256:…`."""


@dataclass(frozen=True)
class BlobRequest:
    """A blob to be pushed.

    open_source: starts the stream anew. upload_url: where an earlier, broken upload may go on.
    remember: told where the upload goes on, so that it can outlive this process.
    """

    size_bytes: int
    open_source: Callable[[], BlobSource]
    upload_url: str | None = None
    remember: Callable[[str], None] = lambda _: None


@dataclass
class _Upload:
    url: str
    offset_bytes: int = 0


class RepositoryPusher:
    """Pushes to one repository of one registry; may be used by several threads.

    chunk_bytes: how much is sent in one request; 0 sends a blob in one, as Docker does.
    actions: what to ask the right for.
    """

    def __init__(
        self,
        registry: str,
        repository: str,
        credentials: Credentials | None = None,
        *,
        plain_http: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
        actions: tuple[str, ...] = PULL_AND_PUSH,
    ) -> None:
        self.registry = registry
        self.repository = repository
        self._session = Session(registry, credentials, plain_http=plain_http)
        self._scope = repository_scope(repository, actions)
        self._chunk_bytes = chunk_bytes
        self._has_answered = False

    def check_permission(self) -> None:
        """Make sure that uploads are allowed, by beginning one. Raises RequestFailed."""
        self._cancel(self._persist(self._begin).url)

    def has_blob(self, digest: str) -> bool:
        """Whether the repository holds a blob."""
        return self._persist(lambda: self._call("HEAD", f"blobs/{digest}", (200, 404))).ok

    def mount_blob(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the registry, if the registry does that."""
        query = urlencode({"mount": digest, "from": source})
        scope = f"{self._scope} {repository_scope(source)}"
        call = Call("POST", f"/v2/{self.repository}/blobs/uploads/?{query}", scope, (201, 202))
        response = self._persist(lambda: self._session.send(call))
        if response.status_code == requests.codes.accepted:
            # The registry began an ordinary upload instead.
            self._cancel(self._absolute(response))
        return response.status_code == requests.codes.created

    def push_bytes(self, content: bytes) -> str:
        """Push a small blob, unless it is there, and return its digest."""
        digest = digest_of(content)
        if not self.has_blob(digest):
            self._persist(lambda: self._finish(self._begin(), digest, content))
        return digest

    def push_blob(self, request: BlobRequest) -> str:
        """Push a blob and return its digest; a broken upload goes on where it ended.

        Raises RequestFailed when the registry refuses it, or several attempts bring nothing more.
        """
        upload = _Upload(request.upload_url or "")
        failures, best_bytes = 0, 0
        while True:
            try:
                upload = self._go_on(upload)
                if upload.offset_bytes > best_bytes:
                    best_bytes, failures = upload.offset_bytes, 0
                return self._send_blob(request, upload, is_probe=failures > 0)
            except RequestFailed as exc:
                failures += 1
                # What came of an earlier upload may not be what is being sent now.
                is_stale = best_bytes > 0 and exc.status in (400, 404, 416)
                if failures >= _ATTEMPTS or not (exc.temporary or is_stale):
                    raise
                if is_stale:
                    upload, best_bytes = _Upload(""), 0
            _wait_after(failures)

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> str:
        """Put a manifest under a tag and return its digest."""
        headers = {"Content-Type": media_type}
        path = f"manifests/{reference}"
        self._persist(lambda: self._call("PUT", path, (200, 201), headers, content))
        return digest_of(content)

    def get_manifest(self, reference: str, accept: Iterable[str]) -> tuple[bytes, str] | None:
        """Fetch a manifest and its media type; None when there is none."""
        headers = {"Accept": ", ".join(accept)}
        path = f"manifests/{reference}"
        response = self._persist(lambda: self._call("GET", path, (200, 404), headers))
        if not response.ok:
            return None
        return response.content, response.headers.get("Content-Type", "").partition(";")[0]

    def read_blob(self, digest: str) -> Iterator[bytes]:
        """Fetch a blob piece by piece; the caller checks the digest."""
        url = f"/v2/{self.repository}/blobs/{digest}"
        call = Call("GET", url, self._scope, (200,), is_streamed=True)
        with self._session.send(call) as response, self._session.translate(url):
            yield from response.iter_content(1 << 20)

    def _persist(self, attempt: Callable[[], _Answer]) -> _Answer:
        """Try again what failed for a passing cause, unless nobody is there from the start."""
        failures = 0
        while True:
            try:
                answer = attempt()
            except RequestFailed as exc:
                failures += 1
                is_there = self._has_answered or exc.status is not None
                if failures >= _ATTEMPTS or not (exc.temporary and is_there):
                    raise
            else:
                self._has_answered = True
                return answer
            _wait_after(failures)

    def _call(
        self,
        method: str,
        path: str,
        accepted: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> requests.Response:
        url = f"/v2/{self.repository}/{path}"
        return self._session.send(Call(method, url, self._scope, accepted, headers or {}, body))

    def _begin(self) -> _Upload:
        response = self._call("POST", "blobs/uploads/", (202,))
        return _Upload(self._absolute(response))

    def _cancel(self, url: str) -> None:
        # Not every registry can; it forgets the upload by itself then.
        self._session.send(Call("DELETE", url, self._scope, range(200, 600)))

    def _go_on(self, upload: _Upload) -> _Upload:
        """Ask how far an upload came; begin one where the registry knows of none."""
        if not upload.url:
            return self._begin()
        response = self._session.send(Call("GET", upload.url, self._scope, (204, 400, 404)))
        match = _read_range(response.headers.get("Range", ""))
        if not response.ok or not match:
            return self._begin()
        # An empty upload is reported as 0-0, like one of a single byte.
        last = int(match[1])
        return _Upload(self._absolute(response, upload.url), last + 1 if last else 0)

    def _send_blob(self, request: BlobRequest, upload: _Upload, *, is_probe: bool) -> str:
        source = request.open_source()
        feeder = _Feeder(iter(source))
        for _ in feeder.take(upload.offset_bytes):
            pass
        while upload.offset_bytes < request.size_bytes:
            left = request.size_bytes - upload.offset_bytes
            chunk = _PROBE_BYTES if is_probe else self._chunk_bytes or left
            self._send_chunk(upload, feeder, min(chunk, left))
            request.remember(upload.url)
            is_probe = False
        feeder.drain()
        self._finish(upload, source.digest, b"")
        return source.digest

    def _send_chunk(self, upload: _Upload, feeder: _Feeder, size_bytes: int) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        if self._chunk_bytes:
            last = upload.offset_bytes + size_bytes - 1
            headers["Content-Range"] = f"{upload.offset_bytes}-{last}"
        body = Body(feeder.take(size_bytes), size_bytes)
        call = Call("PATCH", upload.url, self._scope, (201, 202, 204), headers, body)
        response = self._session.send(call)
        upload.url = self._absolute(response, upload.url)
        upload.offset_bytes += size_bytes

    def _finish(self, upload: _Upload, digest: str, content: bytes) -> None:
        mark = "&" if "?" in upload.url else "?"
        url = f"{upload.url}{mark}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        self._session.send(Call("PUT", url, self._scope, (201, 204), headers, content))

    def _absolute(self, response: requests.Response, fallback: str = "") -> str:
        return urljoin(self._session.base_url, _location(response, fallback))


def _wait_after(failures: int) -> None:
    time.sleep(_FIRST_BACKOFF_SECONDS * 2 ** (failures - 1))


def _location(response: requests.Response, fallback: str = "") -> str:
    return urljoin(response.url, response.headers.get("Location", fallback))


class _Feeder:
    """Hands out a stream of blocks in portions of given length."""

    def __init__(self, blocks: Iterator[memoryview]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def take(self, size_bytes: int) -> Iterator[memoryview]:
        """Yield the next bytes. Raises ValueError when the stream ends before."""
        while size_bytes:
            if not self._rest:
                self._rest = next(self._blocks, memoryview(b""))
                if not self._rest:
                    raise ValueError(f"the stream ended {size_bytes} bytes too early")
            portion, self._rest = self._rest[:size_bytes], self._rest[size_bytes:]
            size_bytes -= len(portion)
            yield portion

    def drain(self) -> None:
        """Let the stream come to its end."""
        for _ in self._blocks:
            pass
