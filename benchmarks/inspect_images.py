"""Inspect images of a registry on loopback: what it takes beyond the registry's own answers.

    PYTHONPATH=. python benchmarks/inspect_images.py [--images 100] [--repeats 3]

Needs Debian's docker-registry. Prints, measured in one run: one image beside its requests by a bare
client, with the processor time that tells on a busy machine; the command for one image beside its
start alone (`--help`); and many images together, beside their requests by the bare client.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson

from pullstudy.cost.formula import Cluster, Speed
from pullstudy.inspection.report import PullPlan, inspect_images
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform
from tests.integration.conftest import OCI_MANIFEST, LiveRegistry, run_distribution

REPOSITORY = "bench/images"
ONE = Speed("typical", "stated", 25.0)


async def ask_barely(live: LiveRegistry, tags: list[str]) -> None:
    """Fetch manifest and config of each tag, all at once, and look no further."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:

        async def ask(tag: str) -> None:
            headers = {"Accept": OCI_MANIFEST}
            url = live.url(f"{REPOSITORY}/manifests/{tag}")
            async with session.get(url, headers=headers) as answer:
                digest = orjson.loads(await answer.read())["config"]["digest"]
            async with session.get(live.url(f"{REPOSITORY}/blobs/{digest}")) as answer:
                await answer.read()

        await asyncio.gather(*map(ask, tags))


def take(
    repeats: int, work: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median seconds of some work."""
    seconds = []
    for _ in range(repeats):
        start = clock()
        work()
        seconds.append(clock() - start)
    return statistics.median(seconds)


def command(*arguments: str) -> None:
    """Run the command line in a process of its own."""
    subprocess.run(
        [sys.executable, "-c", "from pullstudy.cli import main; main()", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def measure(live: LiveRegistry, images: int, repeats: int) -> None:
    tags = [f"v{number}" for number in range(images)]
    for tag in tags:
        live.push_image(REPOSITORY, tag, tag)
    names = [f"{live.address}/{REPOSITORY}:{tag}" for tag in tags]
    settings = HarvestSettings(plain_http=True, limits={"*": Limits(100)})
    plan = PullPlan(Cluster(32, 98.32), (ONE,))

    def inspect(chosen: list[str]) -> object:
        platform = Platform("linux", "amd64")
        return inspect_images(chosen, [], settings, platform, plan, with_local=False)

    inspect(names[:1])
    bare = take(repeats, lambda: asyncio.run(ask_barely(live, tags[:1])))
    ours = take(repeats, lambda: inspect(names[:1]))
    busy = take(repeats, lambda: inspect(names[:1]), time.process_time)
    print(
        f"one image: {1e3 * ours:.0f} ms, {1e3 * (ours - bare):.0f} ms beyond a bare client's; "
        f"{1e3 * busy:.0f} ms of processor time"
    )
    whole = take(repeats, lambda: command("inspect", names[0], "--plain-http", "--no-local"))
    start = take(repeats, lambda: command("--help"))
    print(
        f"as a command: {1e3 * whole:.0f} ms, of which {1e3 * start:.0f} ms start Python (--help)"
    )
    bare = take(repeats, lambda: asyncio.run(ask_barely(live, tags)))
    ours = take(repeats, lambda: inspect(names))
    print(f"{images} images: {1e3 * ours:.0f} ms, {ours / bare:.2f} times a bare client's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for address in run_distribution(Path(folder)):
            measure(LiveRegistry("distribution", address), options.images, options.repeats)


if __name__ == "__main__":
    main()
