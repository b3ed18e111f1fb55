"""Read the files of an image: our rate against bare unpacking and against Python's tarfile.

    python benchmarks/read_image_files.py [--files 40000] [--megabytes 400] [--repeats 3]

One layer of many files, half of its bytes random and half zeros, in a folder that is removed. The
limit is what unpacking and hashing the same bytes takes without looking at them. Prints ratios
of CPU time measured in one run, each of the fastest of its repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import io
import json
import random
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from isal import igzip

from pullstudy.bases.images import Image, LayerDescriptor
from pullstudy.bases.layout import LayoutFolder
from pullstudy.bases.paths import ReadSettings, read_files

PIECE_BYTES = 1 << 20


def write_layer(folder: Path, files: int, megabytes: int) -> Path:
    """Write a layer and return its path, which is named by its digest."""
    size = megabytes * 1_000_000 // files
    noise = random.Random(1)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for number in range(files):
            info = tarfile.TarInfo(f"usr/share/folder {number % 500}/some file {number}")
            info.size = size
            content = noise.randbytes(size // 2) + bytes(size - size // 2)
            tar.addfile(info, io.BytesIO(content))
    blob = gzip.compress(output.getvalue(), compresslevel=1)
    path = folder / "blobs/sha256" / hashlib.sha256(blob).hexdigest()
    path.parent.mkdir(parents=True)
    path.write_bytes(blob)
    return path


def unpack(path: Path, *, hash_content: bool) -> None:
    """The limit: hash the layer, unpack it, and hash what comes out where contents are wanted."""
    hashlib.sha256(path.read_bytes())
    content = hashlib.sha256()
    with igzip.open(path) as file:
        while piece := file.read(PIECE_BYTES):
            if hash_content:
                content.update(piece)


def read_by_tarfile(path: Path) -> None:
    """What Python offers: the headers only, nothing merged, nothing verified."""
    with igzip.open(path) as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for _ in tar:
            pass


def read_by_us(path: Path, *, with_digests: bool) -> None:
    layer = LayerDescriptor(f"sha256:{path.name}", path.stat().st_size)
    image = Image("benchmark", "", "", (layer,), (), (), LayoutFolder(path.parents[2]))
    asyncio.run(read_files(image, ReadSettings(with_digests=with_digests)))


def measure(work: Callable[[], None], repeats: int) -> float:
    """CPU seconds of all threads, of the fastest repeat: what others do disturbs them less."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=40_000)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write_layer(Path(folder), arguments.files, arguments.megabytes)
        repeats = arguments.repeats
        limit = measure(lambda: unpack(path, hash_content=False), repeats)
        paths = measure(lambda: read_by_us(path, with_digests=False), repeats)
        peer = measure(lambda: read_by_tarfile(path), repeats)
        hash_limit = measure(lambda: unpack(path, hash_content=True), repeats)
        contents = measure(lambda: read_by_us(path, with_digests=True), repeats)
    figures = {
        "files": arguments.files,
        "unpacked_mb": arguments.megabytes,
        "paths_cpu_seconds": round(paths, 3),
        "contents_cpu_seconds": round(contents, 3),
        "paths_of_the_unpacking_rate": round(limit / paths, 3),
        "contents_of_the_unpacking_and_hashing_rate": round(hash_limit / contents, 3),
        "paths_times_as_fast_as_tarfile": round(peer / paths, 2),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
