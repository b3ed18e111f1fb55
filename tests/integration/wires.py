"""A wire to a server that counts what goes over it, and breaks where a test wants it to."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Wire:
    """A TCP proxy.

    limits: after so many bytes of the client the first connections break.
    bytes_per_second: how fast a client may send.
    """

    address: str = ""
    limits: list[int] = field(default_factory=list)
    bytes_per_second: float = math.inf
    connections: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


@contextlib.contextmanager
def serve_wire(
    upstream: str, limits: list[int] | None = None, bytes_per_second: float = math.inf
) -> Iterator[Wire]:
    """Stand in front of a server (host:port) while the block runs."""
    wire = Wire(limits=list(limits or []), bytes_per_second=bytes_per_second)
    listener = socket.create_server(("127.0.0.1", 0))
    wire.address = f"127.0.0.1:{listener.getsockname()[1]}"
    host, _, port = upstream.partition(":")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                wire.connections += 1
                server = socket.create_connection((host, int(port)))
                limit = float(wire.limits.pop(0)) if wire.limits else math.inf
                for target, arguments in (
                    (_forward_client, (wire, client, server, limit)),
                    (_forward_server, (wire, server, client)),
                ):
                    threading.Thread(target=target, args=arguments, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield wire
    finally:
        listener.close()


def _forward_client(wire: Wire, client: socket.socket, server: socket.socket, limit: float) -> None:
    with contextlib.suppress(OSError):
        while limit > 0 and (data := client.recv(int(min(65536, limit)))):
            server.sendall(data)
            limit -= len(data)
            wire.sent_bytes += len(data)
            time.sleep(len(data) / wire.bytes_per_second)
    _close(client, server)


def _forward_server(wire: Wire, server: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            client.sendall(data)
            wire.received_bytes += len(data)
    _close(client, server)


def _close(*ends: socket.socket) -> None:
    """Close both ends; what was not read makes this a reset, not a quiet end."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
