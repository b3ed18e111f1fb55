"""Bodies taken piece by piece: every byte once and in order, however often it breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.registry.bodies import RangeBody, RangesIgnored, WrongBody

CONTENT = bytes(range(100))


class Taken:
    """A body that is taken, and what came of it."""

    def __init__(self, first: int = 0, end: int = len(CONTENT)) -> None:
        self.content = bytearray()
        self.body = RangeBody(first, end, len(CONTENT), self._keep)

    async def _keep(self, piece: bytes) -> None:
        assert piece
        self.content += piece

    def offer(
        self, content: bytes, status: int = 200, start: int | None = None, *, breaks: bool = False
    ) -> None:
        headers: Mapping[str, str] = {}
        if start is not None:
            status, headers = 206, {"Content-Range": f"bytes {start}-{99}/100"}

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(content), 7):
                yield content[at : at + 7]
            if breaks:
                raise aiohttp.ClientPayloadError("broken")

        asyncio.run(self.body.receive(status, headers, pieces()))


def test_a_whole_body_needs_no_range() -> None:
    taken = Taken()
    assert taken.body.headers() == {}
    taken.offer(CONTENT)
    assert taken.content == CONTENT


def test_a_part_is_asked_for() -> None:
    taken = Taken(10, 20)
    assert taken.body.headers() == {"Range": "bytes=10-19"}
    taken.offer(CONTENT[10:20], start=10)
    assert taken.content == CONTENT[10:20]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=6))
def test_what_breaks_goes_on_where_it_broke(breaks: list[tuple[int, bool]]) -> None:
    taken = Taken()
    for count, knows_ranges in breaks:
        start = taken.body.position if knows_ranges else 0
        sent = CONTENT[start : max(start, count)]
        with pytest.raises(aiohttp.ClientPayloadError):
            taken.offer(sent, start=start if knows_ranges else None, breaks=True)
        if taken.body.position:
            assert taken.body.headers() == {"Range": f"bytes={taken.body.position}-99"}
    taken.offer(CONTENT[taken.body.position :], start=taken.body.position)
    assert taken.content == CONTENT


def test_a_server_may_begin_earlier_than_asked() -> None:
    taken = Taken()
    with pytest.raises(aiohttp.ClientPayloadError):
        taken.offer(CONTENT[:50], breaks=True)
    taken.offer(CONTENT[20:], start=20)
    assert taken.content == CONTENT


def test_a_clean_end_that_comes_too_early_is_a_break() -> None:
    with pytest.raises(aiohttp.ClientPayloadError, match="40 bytes are missing"):
        Taken().offer(CONTENT[:60])


def test_what_breaks_after_the_last_byte_is_no_loss() -> None:
    taken = Taken()
    taken.offer(CONTENT, breaks=True)
    assert taken.content == CONTENT


def endless() -> Iterator[bytes]:
    while True:
        yield CONTENT


def test_more_than_the_size_is_refused_at_once() -> None:
    taken = Taken()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in endless():
            yield piece

    with pytest.raises(WrongBody, match="longer than the 100 bytes"):
        asyncio.run(taken.body.receive(200, {}, pieces()))


@pytest.mark.parametrize("start", [9, 21, 99])
def test_another_range_is_refused(start: int) -> None:
    with pytest.raises(WrongBody, match="another range"):
        Taken(10, 20).offer(CONTENT[:10], start=start)


def test_a_server_without_ranges_sends_no_parts() -> None:
    taken = Taken(10, 20)
    with pytest.raises(RangesIgnored):
        taken.offer(CONTENT)
    assert not taken.content
