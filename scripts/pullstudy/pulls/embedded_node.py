"""A node of the backend `embedded`: a process of its own that pulls what it is told to.

It reads one JSON document per line from its standard input, first `NodeSettings`, then references,
says `ready`, and answers each reference with a `NodePull`. When its input ends, it deletes its
store and ends: a runner that was killed leaves no node behind.

Like containerd it downloads some layers at once into a content store, and unpacks one layer after
the other, from the bottom, as soon as it is there.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import msgspec

from pullstudy.errors import PullstudyError
from pullstudy.naming import parse_reference
from pullstudy.pulls.downloads import Downloader, ImageParts, LayerPart, TokenBucket
from pullstudy.pulls.unpacking import Unpacked, unpack_layer
from pullstudy.registry.credentials import read_docker_config
from pullstudy.registry.platforms import parse_platform
from pullstudy.registry.session import Session

# The first line of its output.
READY = b"ready\n"
_BYTES_PER_MBIT = 125_000


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is told first; see `pulls/study.py` for the meaning.

    store: folder below which it makes its own; None: where temporary files are.
    """

    store: str | None = None
    mirror: str | None = None
    plain_http: bool = False
    platform: str = "linux/amd64"
    latency_seconds: float = 0.0
    bandwidth_mbit_per_second: float | None = None
    layers_at_once: int = 3
    attempts: int = 3
    stall_seconds: float = 60.0


class NodeLayer(msgspec.Struct, frozen=True):
    """One layer of a pull; times as in the table `pull_layers`."""

    digest: str
    compressed_bytes: int
    uncompressed_bytes: int
    started_at_utc: int
    download_seconds: float
    decompress_seconds: float
    unpack_seconds: float


class NodePull(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull was; error: None when it is complete."""

    requested_at_utc: int
    started_at_utc: int
    pulled_at_utc: int
    download_seconds: float | None = None
    document_bytes: int = 0
    layers: tuple[NodeLayer, ...] = ()
    error: str | None = None


class _Fetched(msgspec.Struct, frozen=True):
    path: Path
    started_us: int
    seconds: float


class EmbeddedNode:
    """One node with an empty store in `folder`."""

    def __init__(self, settings: NodeSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        rate = settings.bandwidth_mbit_per_second
        self._bucket = TokenBucket(rate * _BYTES_PER_MBIT) if rate else None

    def pull(self, image: str) -> NodePull:
        """Pull an image into the empty store; a failure is part of the answer."""
        requested_us = _now_us()
        try:
            return self._pull(image, requested_us)
        except (PullstudyError, OSError) as exc:
            text = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
            return NodePull(
                requested_at_utc=requested_us,
                started_at_utc=requested_us,
                pulled_at_utc=_now_us(),
                error=" ".join(text.split()),
            )

    def forget(self) -> None:
        """Make the store empty again."""
        for path in self._folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def _pull(self, image: str, requested_us: int) -> NodePull:
        downloader = self._open_downloader(image)
        started_us = _now_us()
        parts = downloader.find_image(parse_platform(self._settings.platform))
        blobs = self._folder / "blobs"
        blobs.mkdir()
        threads = ThreadPoolExecutor(self._settings.layers_at_once)
        try:
            # A layer that an image has twice is downloaded once.
            fetching = {
                part.digest: threads.submit(_fetch, downloader, part, blobs / f"layer-{n}")
                for n, part in enumerate(dict.fromkeys(parts.layers))
            }
            fetched, unpacked = self._unpack(parts, fetching)
        finally:
            downloader.stop()
            threads.shutdown(cancel_futures=True)
        pulled_us = _now_us()
        first_us = min((f.started_us for f in fetched), default=started_us)
        last = max((f.started_us / 1e6 + f.seconds for f in fetched), default=first_us / 1e6)
        return NodePull(
            requested_at_utc=requested_us,
            started_at_utc=started_us,
            pulled_at_utc=pulled_us,
            download_seconds=last - first_us / 1e6,
            document_bytes=parts.document_bytes,
            layers=tuple(map(_describe_layer, parts.layers, fetched, unpacked)),
        )

    def _open_downloader(self, image: str) -> Downloader:
        settings, reference = self._settings, parse_reference(image)
        # A mirror is asked in its own name: the registry's credentials are not for it.
        found = None if settings.mirror else read_docker_config().find(reference.registry)
        session = Session(
            reference.registry,
            found,
            plain_http=settings.plain_http,
            base_url=settings.mirror,
            answer_seconds=settings.stall_seconds,
        )
        return Downloader(
            session,
            reference,
            bucket=self._bucket,
            latency_seconds=settings.latency_seconds,
            attempts=settings.attempts,
        )

    def _unpack(
        self, parts: ImageParts, fetching: dict[str, Future[_Fetched]]
    ) -> tuple[list[_Fetched], list[Unpacked]]:
        fetched: list[_Fetched] = []
        unpacked: list[Unpacked] = []
        below: list[Path] = []
        for number, (part, diff_id) in enumerate(zip(parts.layers, parts.diff_ids, strict=True)):
            fetched.append(fetching[part.digest].result())
            folder = self._folder / "snapshots" / str(number)
            unpacked.append(unpack_layer(fetched[-1].path, folder, diff_id, below))
            below.append(folder)
        return fetched, unpacked


def _fetch(downloader: Downloader, part: LayerPart, path: Path) -> _Fetched:
    started_us, begun = _now_us(), time.perf_counter()
    downloader.fetch(part, path)
    return _Fetched(path, started_us, time.perf_counter() - begun)


def _describe_layer(part: LayerPart, fetched: _Fetched, unpacked: Unpacked) -> NodeLayer:
    return NodeLayer(
        part.digest,
        part.size,
        unpacked.uncompressed_bytes,
        fetched.started_us,
        fetched.seconds,
        unpacked.decompress_seconds,
        unpacked.unpack_seconds,
    )


def _now_us() -> int:
    return time.time_ns() // 1000


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer the requests of a runner until there are no more."""
    settings = msgspec.json.decode(requests.readline(), type=NodeSettings)
    folder = Path(tempfile.mkdtemp(prefix="pullstudy-node-", dir=settings.store))
    node = EmbeddedNode(settings, folder)
    images: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, images, folder), daemon=True).start()
    _say(answers, READY)
    while True:
        pull = node.pull(images.get())
        node.forget()
        _say(answers, msgspec.json.encode(pull) + b"\n")


def _say(answers: BinaryIO, line: bytes) -> None:
    # The runner may be gone; the other thread ends this process then.
    with contextlib.suppress(BrokenPipeError):
        answers.write(line)
        answers.flush()


def _receive(requests: BinaryIO, images: queue.SimpleQueue[str], folder: Path) -> None:
    """Hand on references until the runner is gone, then end the process, in a pull or not."""
    for line in requests:
        images.put(msgspec.json.decode(line, type=str))
    # In another program's place no thread of ours is left that could add to the folder.
    os.execvp("rm", ("rm", "-rf", "--", str(folder)))


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
