"""A proxy in front of a registry that spoils some of the answers."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from pullstudy.registry.server import serve_application

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry


@dataclass
class Exchange:
    """What the real registry answered."""

    status: int
    headers: dict[str, str]
    body: bytes


Act = Callable[[web.Request, Exchange], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """What is done to the first `times` requests whose method and path match."""

    act: Act
    method: str
    path: str
    times: float

    def takes(self, request: web.Request) -> bool:
        if self.times <= 0 or request.method != self.method:
            return False
        if not re.search(self.path, request.path_qs):
            return False
        self.times -= 1
        return True


class FaultProxy:
    """Stands in front of a registry, writes down all requests and spoils some of the answers."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.address = ""
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    def requests(self, method: str, path: str) -> list[dict[str, str]]:
        """Headers of the requests that came, by method and path (a pattern)."""
        return [headers for m, p, headers in self.seen if m == method and re.search(path, p)]

    def spoil(self, act: Act, path: str, times: float = 1, method: str = "GET") -> None:
        """Let `act` answer the first `times` requests to a path."""
        self.faults.append(Fault(act, method, path, times))

    def refuse(
        self,
        status: int,
        path: str,
        times: float = 1,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer with a status, without asking the registry's opinion."""

        async def act(_: web.Request, __: Exchange) -> web.StreamResponse:
            return web.Response(status=status, headers=headers, body=body)

        self.spoil(act, path, times, method)

    def replace_body(self, change: Callable[[bytes], bytes], path: str, times: float = 1) -> None:
        """Answer with another body under the same headers, its length corrected."""

        async def act(_: web.Request, exchange: Exchange) -> web.StreamResponse:
            return respond(Exchange(exchange.status, exchange.headers, change(exchange.body)))

        self.spoil(act, path, times)

    def cut_body(self, path: str, times: float = 1, *, reset: bool = False) -> None:
        """Promise the whole body, send half of it and close or reset the connection."""

        async def act(request: web.Request, exchange: Exchange) -> web.StreamResponse:
            response = web.StreamResponse(status=exchange.status, headers=exchange.headers)
            response.content_length = len(exchange.body)
            await response.prepare(request)
            await response.write(exchange.body[: len(exchange.body) // 2])
            transport = request.transport
            assert transport is not None
            if reset:
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                transport.abort()
            else:
                transport.close()
            return response

        self.spoil(act, path, times)

    def stall(self, seconds: float, path: str, times: float = 1) -> None:
        """Say nothing for some seconds."""

        async def act(_: web.Request, exchange: Exchange) -> web.StreamResponse:
            await asyncio.sleep(seconds)
            return respond(exchange)

        self.spoil(act, path, times)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path_qs, dict(request.headers)))
        exchange = await self._ask(request)
        for fault in self.faults:
            if fault.takes(request):
                return await fault.act(request, exchange)
        return respond(exchange)

    async def _ask(self, request: web.Request) -> Exchange:
        headers = {"Accept": request.headers.get("Accept", "*/*")}
        url = f"http://{self.upstream}{request.path_qs}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, headers=headers) as answer,
        ):
            body = await answer.read()
            kept = ("Content-Type", "Docker-Content-Digest", "Link")
            found = {name: answer.headers[name] for name in kept if name in answer.headers}
            return Exchange(answer.status, found, body)


def respond(exchange: Exchange) -> web.Response:
    return web.Response(status=exchange.status, body=exchange.body, headers=exchange.headers)


MakeProxy = Callable[["LiveRegistry"], FaultProxy]


@pytest.fixture
def make_proxy() -> Iterator[MakeProxy]:
    """Make proxies in front of registries; all stop at the end of the test."""
    with ExitStack() as stack:

        def make(live: LiveRegistry) -> FaultProxy:
            proxy = FaultProxy(live.address)
            proxy.address = stack.enter_context(serve_application(proxy.application(), "127.0.0.1"))
            return proxy

        yield make
