"""Watch objects of a cluster without losing one: list, watch, and list again when told so.

A watch ends all the time: by its time limit, with its connection, with an API server that is
restarted, and with 410 when the server no longer has what came after our version. In every case
but the last it goes on from the version that was seen last, of an object or of a bookmark (the
server sends none for events); after 410 everything is listed again. So a state may come twice, and
none is passed over that still exists; whoever handles it tells repetitions by `metadata.uid` and
`metadata.resourceVersion`.

Source: kubernetes.io, "Kubernetes API Concepts", "Efficient detection of changes".
"""

from __future__ import annotations

import http
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import urllib3
from kubernetes.client.exceptions import ApiException

from pullstudy.pulls.kubernetes.connect import Api, ClusterError, is_temporary

# The server ends a watch after this time. A connection on which nothing comes any longer, though
# nobody closed it, is noticed a little later.
_WATCH_SECONDS = 50
_SILENCE_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_STOP_SECONDS = 10.0

# (LISTED | ADDED | MODIFIED | DELETED, the object as it stands in JSON)
Handler = Callable[[str, msgspec.Raw], None]


class _Expired(Exception):
    """410: the server no longer knows what happened since our version."""


class _Metadata(msgspec.Struct):
    version: str = msgspec.field(name="resourceVersion", default="")


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    code: int = 0
    message: str = ""


class _Change(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_change = msgspec.json.Decoder(_Change).decode
_decode_object = msgspec.json.Decoder(_Object).decode


class Watcher:
    """Hands every object of one list, and every change of one, to a handler, in a thread."""

    def __init__(
        self,
        api: Api,
        function: Callable[..., Any],
        arguments: tuple[str, ...],
        handler: Handler,
        **keywords: str,
    ) -> None:
        """function: a list of the client, asked with `arguments` and `keywords` (selectors)."""
        self.relisted = 0
        self.reconnected = 0
        self.error: ClusterError | None = None
        self._api = api
        self._function = function
        self._arguments = arguments
        self._keywords = keywords
        self._handler = handler
        self._version = ""
        self._response: urllib3.HTTPResponse | None = None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watcher:
        """List for the first time, then watch. Raises ClusterError."""
        self._list()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._interrupt()
        self._thread.join(_STOP_SECONDS)

    def check(self) -> None:
        """Raise ClusterError when the watch has ended for good."""
        if self.error is not None:
            raise self.error

    def list_again(self) -> None:
        """Hand over everything there is: what a watch may still owe comes at once."""
        for item in self._api.list(self._function, *self._arguments, **self._keywords).items:
            self._handler("LISTED", item)

    def _list(self) -> None:
        listing = self._api.list(self._function, *self._arguments, **self._keywords)
        for item in listing.items:
            self._handler("LISTED", item)
        self._version = listing.version

    def _run(self) -> None:
        while not self._ends.is_set():
            begun = time.monotonic()
            try:
                self._watch()
                self.reconnected += 1
                if time.monotonic() - begun < _PAUSE_SECONDS:
                    self._ends.wait(_PAUSE_SECONDS)
            except _Expired:
                self._list_anew()
            except ApiException as exc:
                if exc.status == http.HTTPStatus.GONE:
                    self._list_anew()
                elif not is_temporary(exc):
                    self.error = self._api.error(exc)
                    return
                self._pause()
            except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
                # A connection that broke, perhaps because it was closed from another thread,
                # perhaps in the middle of an object.
                self._pause()

    def _list_anew(self) -> None:
        self.relisted += 1
        try:
            self._list()
        except ClusterError as exc:
            self.error = exc
            self._ends.set()

    def _pause(self) -> None:
        self.reconnected += 1
        self._ends.wait(_PAUSE_SECONDS)

    def _watch(self) -> None:
        response = self._function(
            *self._arguments,
            watch=True,
            allow_watch_bookmarks=True,
            resource_version=self._version,
            timeout_seconds=_WATCH_SECONDS,
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
            **self._keywords,
        )
        self._response = response
        try:
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                raise ApiException(http_resp=response)
            for line in _lines(response):
                self._take(line)
                if self._ends.is_set():
                    return
        finally:
            self._response = None
            response.close()
            response.release_conn()

    def _take(self, line: bytes) -> None:
        change = _decode_change(line)
        seen = _decode_object(change.object)
        if change.type == "ERROR":
            if seen.code == http.HTTPStatus.GONE:
                raise _Expired
            raise ApiException(status=seen.code, reason=seen.message)
        if change.type != "BOOKMARK":
            self._handler(change.type, change.object)
        self._version = seen.metadata.version or self._version

    def _interrupt(self) -> None:
        """Wake the thread that waits for the next line: closing alone would wait for it."""
        connection = getattr(self._response, "connection", None)
        sock = getattr(connection, "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    """Yield lines as they come: the client's own watch decodes each of them twice."""
    rest = b""
    for piece in response.stream(amt=None, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line for line in lines if line)
