"""Harvest a real registry on loopback: our rate against skopeo and against a bare client.

    python benchmarks/harvest_registry.py [--images 2000] [--many 50000] [--repeats 3]

Needs Debian's docker-registry and skopeo. Prints ratios measured in one run; every harvest is a
process of its own, so that its peak memory is its own too.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from pullstudy.registry.harvest import harvest
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings

REPOSITORY = "bench/images"
CONCURRENCY = 16
SKOPEO_SAMPLE = 100
DOCKER = "application/vnd.docker"
ACCEPT = f"{DOCKER}.distribution.manifest.v2+json"


def make_image(number: int) -> tuple[bytes, bytes]:
    """Config and manifest of the size that real ones have: 10 layers, 20 steps of history."""
    history = [
        {"created": "2024-11-21T00:00:00Z", "created_by": f"RUN step {step} of image {number}"}
        | ({"empty_layer": True} if step % 2 else {})
        for step in range(20)
    ]
    diff_ids = [f"sha256:{hashlib.sha256(f'{number} {i}'.encode()).hexdigest()}" for i in range(10)]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-11-21T00:00:00Z",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["/bin/sh"]},
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    ).encode()
    layers = [
        {
            "mediaType": f"{DOCKER}.image.rootfs.diff.tar.gzip",
            "size": 1000 * number + layer,
            "digest": digest,
        }
        for layer, digest in enumerate(diff_ids)
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": ACCEPT,
        "config": {
            "mediaType": f"{DOCKER}.container.image.v1+json",
            "size": len(config),
            "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
        },
        "layers": layers,
    }
    return config, json.dumps(manifest, indent=3).encode()


def fill_storage(root: Path, count: int) -> list[tuple[str, str]]:
    """Write images straight into Distribution's storage; returns tag and config digest of each."""
    base = root / "docker/registry/v2"
    repository = base / "repositories" / REPOSITORY

    def write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def store(content: bytes) -> str:
        digits = hashlib.sha256(content).hexdigest()
        write(base / f"blobs/sha256/{digits[:2]}/{digits}/data", content)
        return digits

    images = []
    for number in range(count):
        config, manifest = make_image(number)
        config_digits, manifest_digits = store(config), store(manifest)
        link = f"sha256:{manifest_digits}".encode()
        tag = f"v{number:06d}"
        write(
            repository / f"_layers/sha256/{config_digits}/link", b"sha256:" + config_digits.encode()
        )
        write(repository / f"_manifests/revisions/sha256/{manifest_digits}/link", link)
        write(repository / f"_manifests/tags/{tag}/current/link", link)
        images.append((tag, f"sha256:{config_digits}"))
    return images


@contextmanager
def run_registry(folder: Path) -> Iterator[str]:
    """Run docker-registry on a free loopback port over `folder/storage`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    server = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(tuple_of(address)) == 0:
                    break
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def tuple_of(address: str) -> tuple[str, int]:
    """Host and port of `host:port`."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def run_ours(address: str, folder: Path) -> dict[str, float]:
    """Harvest into a folder; seconds of wall and CPU, and peak memory of this process."""
    settings = HarvestSettings(plain_http=True, limits={"*": Limits(CONCURRENCY)})
    before, cpu = time.perf_counter(), time.process_time()
    summary = harvest([f"{address}/{REPOSITORY}"], folder / "out", folder / "cache", settings)
    return {
        "seconds": time.perf_counter() - before,
        "cpu_seconds": time.process_time() - cpu,
        "images": summary.images,
        "failures": summary.failures,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def run_bare(address: str, images: list[tuple[str, str]]) -> dict[str, float]:
    """Get the same URLs with aiohttp at the same concurrency and throw the bodies away."""

    async def run() -> None:
        left = iter(images)
        base = f"http://{address}/v2/{REPOSITORY}"
        async with aiohttp.ClientSession() as session:

            async def work() -> None:
                for tag, config in left:
                    headers = {"Accept": ACCEPT}
                    async with session.get(f"{base}/manifests/{tag}", headers=headers) as answer:
                        await answer.read()
                    async with session.get(f"{base}/blobs/{config}") as answer:
                        await answer.read()

            await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    before, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    return {
        "seconds": time.perf_counter() - before,
        "cpu_seconds": time.process_time() - cpu,
        "images": len(images),
    }


def run_skopeo(address: str, images: list[tuple[str, str]]) -> dict[str, float]:
    """The loop that a shell script would be."""
    before = time.perf_counter()
    for tag, _ in images:
        name = f"docker://{address}/{REPOSITORY}:{tag}"
        for what in ("--raw", "--config"):
            command = ["skopeo", "inspect", "--tls-verify=false", what, name]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return {"seconds": time.perf_counter() - before, "images": len(images)}


def measure(role: str, address: str, count: int) -> dict[str, Any]:
    """Run a role in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--role", role, "--address", address]
        command += ["--images", str(count), "--folder", folder]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def play(role: str, address: str, count: int, folder: Path) -> None:
    """Play one role and print what it measured."""
    if role == "ours":
        print(json.dumps(run_ours(address, folder)))
        return
    images = []
    for number in range(count):
        digits = hashlib.sha256(make_image(number)[0]).hexdigest()
        images.append((f"v{number:06d}", f"sha256:{digits}"))
    print(json.dumps(run_bare(address, images)))


def rate(result: dict[str, float]) -> float:
    """Images per second."""
    return result["images"] / result["seconds"]


def compare(count: int, repeats: int) -> tuple[float, float]:
    """Print the ratios at `count` images; returns our wall and CPU milliseconds per image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = fill_storage(folder / "storage", count)
        with run_registry(folder) as address:
            skopeo = rate(run_skopeo(address, images[:SKOPEO_SAMPLE]))
            bare, ours = [], []
            for _ in range(repeats):
                bare.append(rate(measure("bare", address, count)))
                ours.append(measure("ours", address, count))
    assert all(r["images"] == count and not r["failures"] for r in ours), "not all was harvested"
    our_rate = statistics.median(rate(r) for r in ours)
    pairs = [rate(o) / b for o, b in zip(ours, bare, strict=True)]
    print(f"{count} images, {repeats} repeats, medians")
    print(f"  ours                 {our_rate:8.0f} images/s")
    print(f"  bare client          {statistics.median(bare):8.0f} images/s")
    print(f"  skopeo loop          {skopeo:8.0f} images/s ({SKOPEO_SAMPLE} images)")
    print(f"  ours / skopeo        {our_rate / skopeo:8.1f}   (wanted: at least 10)")
    print(f"  ours / bare client   {statistics.median(pairs):8.2f}   (wanted: at least 0.80)")
    print(f"  peak memory          {max(r['peak_megabytes'] for r in ours):8.0f} MB (under 300)")
    wall = statistics.median(r["seconds"] for r in ours) / count * 1000
    return wall, statistics.median(r["cpu_seconds"] for r in ours) / count * 1000


def compare_many(count: int, wall: float, cpu: float) -> None:
    """Print the cost per image at `count` tags of one repository, against that at few."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill_storage(folder / "storage", count)
        with run_registry(folder) as address:
            many = measure("ours", address, count)
    assert many["images"] == count and not many["failures"]
    many_wall = many["seconds"] / count * 1000
    many_cpu = many["cpu_seconds"] / count * 1000
    print(f"{count} tags in one repository")
    print(f"  wall per image       {many_wall:8.2f} ms, {many_wall / wall:.2f} x (at most 1.2)")
    print(f"  CPU per image        {many_cpu:8.2f} ms, {many_cpu / cpu:.2f} x")
    print(f"  peak memory          {many['peak_megabytes']:8.0f} MB (wanted: under 300)")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--many", type=int, default=50_000, help="0: leave this part out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        play(arguments.role, arguments.address, arguments.images, arguments.folder)
        return
    wall, cpu = compare(arguments.images, arguments.repeats)
    if arguments.many:
        compare_many(arguments.many, wall, cpu)


if __name__ == "__main__":
    main()
