"""An embedded node against bare loops over the same layers: download, digest, decompress, unpack.

    python benchmarks/pull_embedded.py [--megabytes 200] [--layers 9] [--repeats 5]

The bare loops take one layer after the other, in one pass: requests, hashlib, isal or zstandard,
tarfile, nothing else. One digests each blob alone; the other also its tar, as a runtime has to
(diff ID, OCI image specification 1.1). The node does what containerd does: it keeps a blob before
it unpacks it, checks both digests and clocks everything. Prints the ratios of wall and of CPU time
to either loop, medians of rounds that take turns; the limit is 1.10. The registry is a process of
its own.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO, cast

import requests
import zstandard
from isal import igzip

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.pulls.embedded_node import EmbeddedNode, NodeSettings
from pullstudy.registry.server import serve_layout

REPOSITORY = "bench/images"
LIMIT = 1.10
PIECE_BYTES = 1 << 18
STUDY = """
uri: registry.example/{repository}
sizes: [{{total: {total}}}]
layers: [{{exact: {layers}}}]
content: {{ratio: 2.6}}
files_per_layer: {files}
compression: {compression}
"""


class Tee:
    """What comes from the network, digested while somebody reads it."""

    def __init__(self, response: requests.Response) -> None:
        self._pieces = response.iter_content(PIECE_BYTES)
        self._rest = b""
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
            self.digest.update(self._rest)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer as far as it goes."""
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class DigestedTar:
    """The tar of a layer, digested while somebody reads it."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end."""
        piece: bytes = self._plain.read(size)
        self.digest.update(piece)
        return piece


def pull_checked(address: str, tag: str, folder: Path) -> None:
    """Do the same, and digest what each layer unpacks to."""
    pull_bare(address, tag, folder, DigestedTar)


def pull_bare(
    address: str, tag: str, folder: Path, wrap: Callable[[Any], Any] = lambda plain: plain
) -> None:
    """Download, digest and unpack the layers of an image, one after the other."""
    http = requests.Session()
    base = f"http://{address}/v2/{REPOSITORY}"
    manifest = http.get(f"{base}/manifests/{tag}").json()
    for number, layer in enumerate(manifest["layers"]):
        tee = Tee(http.get(f"{base}/blobs/{layer['digest']}", stream=True))
        stream = cast("BinaryIO", tee)
        plain: Any
        if layer["mediaType"].endswith("zstd"):
            plain = zstandard.ZstdDecompressor().stream_reader(
                stream, read_size=PIECE_BYTES, read_across_frames=True
            )
        else:
            plain = igzip.IGzipFile(fileobj=stream, mode="rb")
        plain = wrap(plain)
        place = folder / str(number)
        place.mkdir()
        with tarfile.open(fileobj=plain, mode="r|", bufsize=PIECE_BYTES) as archive:
            for member in archive:
                archive.extract(member, place, filter="tar")
        while plain.read(PIECE_BYTES):
            pass
        if f"sha256:{tee.digest.hexdigest()}" != layer["digest"]:
            raise SystemExit(f"{layer['digest']}: wrong digest")


def pull_with_node(address: str, tag: str, folder: Path) -> None:
    """Pull the same with a node."""
    node = EmbeddedNode(NodeSettings(plain_http=True), folder)
    pull = node.pull(f"{address}/{REPOSITORY}:{tag}")
    if pull.error:
        raise SystemExit(pull.error)


def clock(pull: Callable[[str, str, Path], None], address: str, tag: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a pull into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        pull(address, tag, Path(folder))
        return time.perf_counter() - wall, time.process_time() - cpu


def serve(layout: Path, pipe: Connection) -> None:
    with serve_layout(layout) as address:
        pipe.send(address)
        pipe.recv()


@contextlib.contextmanager
def run_registry(layout: Path) -> Iterator[str]:
    """Serve a layout from a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(layout, theirs))
    server.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        server.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for compression, files in (("gzip", 10), ("zstd", 10), ("gzip", 500)):
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "study.yaml"
            study.write_text(
                STUDY.format(
                    repository=REPOSITORY, total=arguments.megabytes * 10**6,
                    layers=arguments.layers, files=files, compression=compression,
                )
            )  # fmt: skip
            layout = Path(folder) / "layout"
            [image] = craft_study(study, CraftSettings(f"oci:{layout}"))
            index = layout / "index.json"
            tag = image.planned.cell.tag
            index.write_text(index.read_text().replace(f'"{tag}"', f'"{REPOSITORY}:{tag}"'))
            compare(layout, tag, arguments.repeats, f"{compression}, {files} files a layer")


def compare(layout: Path, tag: str, repeats: int, name: str) -> None:
    """Take turns and print the ratios."""
    pulls = {"bare": pull_bare, "with diff IDs": pull_checked, "node": pull_with_node}
    rounds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in pulls}
    with run_registry(layout) as address:
        for turn in range(repeats + 1):
            for kind, pull in pulls.items():
                seconds = clock(pull, address, tag)
                # The first turn warms the page cache.
                if turn:
                    rounds[kind].append(seconds)
    medians = {
        kind: [statistics.median(turn[place] for turn in turns) for place in (0, 1)]
        for kind, turns in rounds.items()
    }
    (wall, cpu), found = medians.pop("node"), []
    for kind, (bare_wall, bare_cpu) in medians.items():
        found.append(
            f"{kind}: wall {wall:.2f} s / {bare_wall:.2f} s = {wall / bare_wall:.2f}, "
            f"CPU {cpu:.2f} s / {bare_cpu:.2f} s = {cpu / bare_cpu:.2f}"
        )
    print(f"{name}: {'; '.join(found)} (limit {LIMIT})")


if __name__ == "__main__":
    main()
