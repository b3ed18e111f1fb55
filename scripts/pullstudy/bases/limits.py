"""How much of an image is read before it is called hostile.

An image says itself how large it is, and a few kilobytes of it can claim to be exabytes. Every
claim and everything that is really read counts against one budget per image.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pullstudy.bases.faults import LayerFault


@dataclass(frozen=True)
class ReadLimits:
    """The most that is read of one image.

    compressed_bytes_max, unpacked_bytes_max: over all layers; unpacked counts what the tar headers
    claim as well as what comes. entries_max: headers of any kind, and folders on their way; each
    takes some 600 bytes of memory. name_bytes_max: of all paths and link targets together.
    path_bytes_max: of one of them; Linux has PATH_MAX. header_bytes_max: of one extended header;
    Go's archive/tar, with which container runtimes read, has maxSpecialFileSize. toc_bytes_max: of
    an unpacked table of contents; a layer with a larger one is streamed. seconds_max: for the whole
    image.
    """

    layers_max: int = 1_000
    compressed_bytes_max: int = 128_000_000_000
    unpacked_bytes_max: int = 512_000_000_000
    entries_max: int = 2_000_000
    name_bytes_max: int = 512 << 20
    path_bytes_max: int = 4_096
    header_bytes_max: int = 1 << 20
    toc_bytes_max: int = 128 << 20
    seconds_max: float = 3_600.0


class Budget:
    """What is left of the limits of one image; layers that are read at once share it."""

    def __init__(self, limits: ReadLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._until = clock() + limits.seconds_max
        self._unpacked_bytes = 0
        self._entries = 0
        self._name_bytes = 0

    def spend_bytes(self, count: int) -> None:
        """Count unpacked bytes. Raises LayerFault when they are too many, or time is over."""
        with self._lock:
            self._unpacked_bytes += count
        if self._unpacked_bytes > self.limits.unpacked_bytes_max:
            raise _exceeded("unpacked bytes", self.limits.unpacked_bytes_max)
        self.check_time()

    def spend_entry(self, name_bytes: int = 0) -> None:
        """Count an entry with its names. Raises LayerFault when they are too many."""
        with self._lock:
            self._entries += 1
            self._name_bytes += name_bytes
        if self._entries > self.limits.entries_max:
            raise _exceeded("files and folders", self.limits.entries_max)
        if self._name_bytes > self.limits.name_bytes_max:
            raise _exceeded("bytes of paths", self.limits.name_bytes_max)

    def check_time(self) -> None:
        """Raise LayerFault when the time is over."""
        if self._clock() > self._until:
            raise _exceeded("seconds", self.limits.seconds_max)


def _exceeded(what: str, limit: float) -> LayerFault:
    return LayerFault(f"more than {limit:,.0f} {what}; raise the limit if you trust the image")
