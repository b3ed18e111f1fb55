"""Compare crafting with what bounds it, and with building the same image in a Docker Engine.

    python benchmarks/craft_images.py [FOLDER] [MEGABYTES] [ROUNDS]

FOLDER: where layouts are written; its disk is measured too (default: a temporary folder).

The first part alternates, best round counts: SHA-256 alone, writing alone, and crafting an image of
MEGABYTES (1,000) to `oci:FOLDER` with 9 and with 125 layers of random bytes, gzip. Each runs in a
fresh process; the aim is 60 % of the slower of the two bounds, at 200 MB of memory at most.

The second part needs root, dockerd and docker-registry: an image of 132 MB (the paper's median) in
the paper's two numbers of layers, built from a Dockerfile that draws random bytes in RUN steps and
pushed, against `pullstudy craft --push` to the same registry. The aim is 20 times. Beside it, what
the registry itself takes for as many random bytes in as many layers: a client that has them in
memory, with their digests, and sends each in one request.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import multiprocessing
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.craft.study import Surroundings

BLOCK_BYTES = 1 << 20
MEDIAN_BYTES = 132_399_102
LAYER_COUNTS = (9, 125)
START_SECONDS = 120.0


def time_hashing(size_bytes: int) -> float:
    """Return bytes per second of SHA-256."""
    block, digest = os.urandom(BLOCK_BYTES), hashlib.sha256()
    start = time.perf_counter()
    for _ in range(size_bytes // BLOCK_BYTES):
        digest.update(block)
    return size_bytes / (time.perf_counter() - start)


def time_writing(folder: Path, size_bytes: int) -> float:
    """Return bytes per second of writing one file."""
    block, path = os.urandom(BLOCK_BYTES), folder / "written"
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size_bytes // BLOCK_BYTES):
            file.write(block)
    seconds = time.perf_counter() - start
    path.unlink()
    return size_bytes / seconds


def write_study(folder: Path, size_bytes: int, layers: int) -> Path:
    path = folder / f"study-{layers}.yaml"
    path.write_text(f"sizes: [{{total: {size_bytes}}}]\nlayers: [{{exact: {layers}}}]\n")
    return path


def time_crafting(folder: Path, size_bytes: int, layers: int) -> tuple[float, float]:
    """Return bytes per second of crafting to a layout, and the peak memory in bytes."""
    study = write_study(folder, size_bytes, layers)
    start = time.perf_counter()
    craft_study(study, CraftSettings(f"oci:{folder / 'layout'}"))
    seconds = time.perf_counter() - start
    shutil.rmtree(folder / "layout")
    return size_bytes / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare_with_bounds(folder: Path, size_bytes: int, rounds: int) -> None:
    hashed, written, crafted, peak = [], [], dict.fromkeys(LAYER_COUNTS, 0.0), 0.0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for number in range(rounds):
            hashed.append(pool.submit(time_hashing, size_bytes).result())
            written.append(pool.submit(time_writing, folder, size_bytes).result())
            # In turn first: what one has written, the disk is still busy with in the other.
            for layers in sorted(crafted, reverse=number % 2 == 1):
                rate, memory = pool.submit(time_crafting, folder, size_bytes, layers).result()
                crafted[layers], peak = max(crafted[layers], rate), max(peak, memory)
    bound = min(max(hashed), max(written))
    print(f"sha-256      {max(hashed) / 1e6:8.0f} MB/s")
    print(f"write        {max(written) / 1e6:8.0f} MB/s")
    for layers, rate in crafted.items():
        print(f"{layers:3} layers   {rate / 1e6:8.0f} MB/s")
    print(f"ratio        {crafted[9] / bound:8.2f}       (9 layers to the bound; aim 0.60)")
    print(f"125 to 9     {crafted[125] / crafted[9]:8.2f}       (aim 1.00)")
    print(f"peak         {peak / 1e6:8.0f} MB    (limit 200)")


@contextlib.contextmanager
def run_server(command: list[str], is_up: Callable[[], bool]) -> Iterator[None]:
    """Run a server, quietly, until the block ends."""
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + START_SECONDS
        while not is_up():
            if server.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait(START_SECONDS)


def run_registry(folder: Path, address: str) -> contextlib.AbstractContextManager[None]:
    config = folder / "registry.yml"
    config.write_text(
        "{version: 0.1, log: {accesslog: {disabled: true}, level: error}, "
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}, "
        f"http: {{addr: {address}}}}}"
    )
    host, _, port = address.partition(":")

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    return run_server(["docker-registry", "serve", str(config)], is_up)


def run_engine(folder: Path, host: str) -> contextlib.AbstractContextManager[None]:
    command = ["dockerd", "--host", host, "--data-root", f"{folder}/data"]
    command += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid", "--bridge", "none"]
    command += ["--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    check = ["docker", "--host", host, "version"]
    return run_server(
        command, lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0
    )


def time_engine(folder: Path, host: str, reference: str, layers: int) -> tuple[float, float]:
    """Build and push an image as the original does, but of random bytes; returns both times."""
    context = folder / f"context-{layers}"
    context.mkdir()
    shutil.copy("/bin/busybox", context)
    each = MEDIAN_BYTES // (layers - 1)
    steps = [
        f'RUN ["/busybox", "sh", "-c", "/busybox head -c {each} /dev/urandom > /{number}"]'
        for number in range(layers - 1)
    ]
    (context / "Dockerfile").write_text("\n".join(["FROM scratch", "COPY busybox /", *steps]))
    times = [time.perf_counter()]
    build = ["build", "--quiet", "--network", "none", "--tag", reference, str(context)]
    for arguments in (build, ["push", "--quiet", reference]):
        command = ["docker", "--host", host, *arguments]
        subprocess.run(
            command, check=True, capture_output=True, env=os.environ | {"DOCKER_BUILDKIT": "0"}
        )
        times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]


def time_bare_push(address: str, repository: str, layers: int) -> float:
    """Send random blobs, as many at once as crafting does; returns seconds."""
    blobs = [os.urandom(MEDIAN_BYTES // layers) for _ in range(layers)]
    digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs]
    thread = threading.local()

    def send(blob: bytes, digest: str) -> None:
        if not hasattr(thread, "connection"):
            thread.connection = http.client.HTTPConnection(address)
        location = call("POST", f"/v2/{repository}/blobs/uploads/", None)
        call("PUT", f"{location}&digest={digest}", blob)

    def call(method: str, url: str, body: bytes | None) -> str:
        thread.connection.request(method, url, body)
        with thread.connection.getresponse() as response:
            response.read()
            return str(response.headers["Location"])

    start = time.perf_counter()
    with ThreadPoolExecutor(CraftSettings("push").layers_at_once) as threads:
        list(threads.map(send, blobs, digests))
    return time.perf_counter() - start


def time_push(folder: Path, repository: str, layers: int) -> float:
    """Craft an image of the same size into the same registry; returns seconds."""
    study = write_study(folder, MEDIAN_BYTES, layers)
    start = time.perf_counter()
    craft_study(study, CraftSettings("push", Surroundings(repository), journal=folder / "journal"))
    return time.perf_counter() - start


def compare_with_engine(folder: Path) -> None:
    missing = [
        program
        for program in ("dockerd", "docker", "docker-registry", "busybox")
        if shutil.which(program) is None
    ]
    if os.geteuid() != 0 or missing:
        print(f"Docker Engine: not compared ({', '.join(missing) or 'needs root'})")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    host = f"unix://{folder}/docker.sock"
    with run_registry(folder, address), run_engine(folder / "engine", host):
        for layers in LAYER_COUNTS:
            build, push = time_engine(folder, host, f"{address}/bench/built-{layers}", layers)
            bare = time_bare_push(address, f"bench/bare-{layers}", layers)
            crafted = time_push(folder, f"{address}/bench/crafted-{layers}", layers)
            print(f"{layers} layers")
            print(f"docker build {build:8.1f} s")
            print(f"docker push  {push:8.1f} s")
            print(f"craft --push {crafted:8.2f} s")
            print(f"bare client  {bare:8.2f} s     ({bare / crafted:.2f} of the time)")
            print(f"ratio        {(build + push) / crafted:8.1f}       (aim 20)")


def main() -> None:
    arguments = dict(enumerate(sys.argv[1:]))
    size_bytes = int(float(arguments.get(1, 1000)) * 1e6)
    with tempfile.TemporaryDirectory(dir=arguments.get(0)) as name:
        folder = Path(name)
        compare_with_bounds(folder, size_bytes, int(arguments.get(2, 3)))
        compare_with_engine(folder)


if __name__ == "__main__":
    main()
