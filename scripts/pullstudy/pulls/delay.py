"""A wire with latency: a TCP proxy that hands on what it gets, each piece so much later.

It limits nothing but time: pieces that follow each other travel together, as on a long cable. (The
kernel's own tool for that, netem, is not in every kernel.)
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from pullstudy.errors import PullError

_PIECE_BYTES = 1 << 16
# What may be on its way at once; beyond it the sender waits, as with a full window.
_PIECES_MAX = 1024


@contextlib.contextmanager
def serve_wire(host: str, upstream: str, latency_seconds: float = 0.0) -> Iterator[str]:
    """Stand before `upstream` (host:port) while the block runs; gives `host:port`.

    latency_seconds: of a round trip; half of it each way. Raises PullError.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wire", daemon=True)
    target, _, port = upstream.rpartition(":")
    wire = _Wire(target, int(port), latency_seconds / 2)
    thread.start()
    try:
        try:
            starting = asyncio.start_server(wire.serve, host, 0)
            server = asyncio.run_coroutine_threadsafe(starting, loop).result()
        except OSError as exc:
            raise PullError(f"{host}: cannot be served: {exc.strerror}") from exc
        yield f"{host}:{server.sockets[0].getsockname()[1]}"
        loop.call_soon_threadsafe(server.close)
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Wire:
    def __init__(self, host: str, port: int, delay_seconds: float) -> None:
        self._host = host
        self._port = port
        self._delay_seconds = delay_seconds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the other end and hand on, both ways."""
        with contextlib.suppress(OSError, asyncio.CancelledError):
            # Setting up a connection takes a round trip.
            await asyncio.sleep(2 * self._delay_seconds)
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            await asyncio.gather(
                self._hand_on(reader, far_writer), self._hand_on(far_reader, writer)
            )

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_MAX)
        loop = asyncio.get_running_loop()

        async def receive() -> None:
            piece = b"x"
            while piece:
                try:
                    piece = await reader.read(_PIECE_BYTES)
                except ConnectionError:
                    piece = b""
                await under_way.put((loop.time() + self._delay_seconds, piece))

        receiving = asyncio.create_task(receive())
        try:
            while True:
                due, piece = await under_way.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
        finally:
            receiving.cancel()
            writer.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
