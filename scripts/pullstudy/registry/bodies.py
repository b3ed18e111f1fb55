"""Bodies of answers that are taken piece by piece: whole blobs and parts of them.

Source: RFC 9110 section 14 (ranges). A body that breaks off is asked for again from where it ended.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp

from pullstudy.errors import RegistryError

_PARTIAL_CONTENT = 206
_read_start = re.compile(r"bytes (\d+)-").match

Receive = Callable[[bytes], Awaitable[None]]


class BodySink(Protocol):
    """Takes the body of a successful answer instead of whoever sent the request."""

    def headers(self) -> Mapping[str, str]:
        """What the next attempt asks for: the part that is still missing."""

    async def receive(
        self, status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes]
    ) -> None:
        """Take the body of a successful answer."""


class WrongBody(RegistryError):
    """A body that asking again will not mend; its text says what it is like."""


class RangesIgnored(WrongBody):
    """The server sends everything where a part was asked for."""


class RangeBody:
    """The bytes from `first` to before `end` of a blob; `position` is the next one to come.

    size_bytes: of the whole blob. receive: gets each piece, in order and none twice.
    """

    def __init__(self, first: int, end: int, size_bytes: int, receive: Receive) -> None:
        self.position = first
        self._first = first
        self._end = end
        self._size_bytes = size_bytes
        self._receive = receive

    def headers(self) -> Mapping[str, str]:
        """Ask for a range unless it is everything: not every server knows ranges."""
        if self.position == 0 and self._end == self._size_bytes:
            return {}
        return {"Range": f"bytes={self.position}-{self._end - 1}"}

    async def receive(
        self, status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes]
    ) -> None:
        """Hand on what is new of the body.

        Raises RangesIgnored when the server begins at the start although the blob is wanted from
        its middle, WrongBody when it sends other bytes than it was asked for.
        """
        known = self.position - self._find_start(status, headers)
        left = self._end - self.position
        try:
            async for piece in pieces:
                fresh = piece[known:]
                known = max(0, known - len(piece))
                left -= len(fresh)
                if left < 0:
                    raise WrongBody(f"it is longer than the {self._size_bytes} bytes of its size")
                if fresh:
                    await self._receive(fresh)
                    self.position += len(fresh)
        except aiohttp.ClientError:
            # What breaks after the last byte is no loss.
            if left:
                raise
        if left:
            # The transport takes it for the broken connection that it is, and asks again.
            raise aiohttp.ClientPayloadError(f"{left} bytes are missing")

    def _find_start(self, status: int, headers: Mapping[str, str]) -> int:
        if status != _PARTIAL_CONTENT:
            if self._first:
                raise RangesIgnored("it knows no ranges")
            return 0
        match = _read_start(headers.get("Content-Range", ""))
        start = int(match[1]) if match else -1
        if not self._first <= start <= self.position:
            raise WrongBody("it sent another range than it was asked for")
        return start
