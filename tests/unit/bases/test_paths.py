"""Reading images from registries and folders, by table of contents or stream; hostile ones."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pullstudy.bases.images import ImageFinder
from pullstudy.bases.limits import ReadLimits
from pullstudy.bases.paths import ImageFiles, ReadSettings, read_files
from pullstudy.errors import ImageError, PullstudyError
from pullstudy.registry.layout import ImageLayout
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import Platform
from pullstudy.registry.server import Registry, serve_application, serve_layout
from pullstudy.registry.transport import RequestFailed, open_session
from tests.conftest import ROOT
from tests.unit.bases.conftest import (
    OCI,
    MadeImage,
    MadeLayer,
    add_to_registry,
    compress,
    digest_of,
    layer_of,
    make_estargz,
    make_image,
    make_tar,
    symlink,
    write_blob,
    write_layout,
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOISE = random.Random(5).randbytes(3 << 20)
AMD64 = Platform("linux", "amd64")


def read(name: str, platform: Platform = AMD64, **how: Any) -> ImageFiles:
    limits = ReadLimits(**how.pop("limits", {}))
    settings = ReadSettings(limits, with_digests=how.pop("with_digests", True), **how)

    async def run() -> ImageFiles:
        registries = HarvestSettings(
            plain_http=True, attempts=3, first_backoff_seconds=0.01, timeout_seconds=5.0
        )
        async with open_session() as session:
            image = await ImageFinder(session, registries, platform).find(name)
            return await read_files(image, settings)

    return asyncio.run(run())


def contents_of(files: ImageFiles) -> dict[str, str | None]:
    return {file.path: file.entry.content for file in files.files}


class Spoiled:
    """An embedded registry, where single layers are answered in another way."""

    def __init__(self) -> None:
        self.ranges: list[str] = []
        self._answers: dict[str, Answer] = {}

    def spoil(self, layer: MadeLayer, answer: Answer) -> None:
        self._answers[digest_of(layer.blob)] = answer

    def application(self, root: Path) -> web.Application:
        @web.middleware
        async def spoil(request: web.Request, handler: Answer) -> web.StreamResponse:
            if "/blobs/" in request.path:
                self.ranges.append(request.headers.get("Range", ""))
            return await self._answers.get(request.path.rpartition("/")[2], handler)(request)

        application = Registry(ImageLayout(root)).application()
        application.middlewares.append(spoil)
        return application


Serve = Callable[..., tuple[Spoiled, str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve images by tag; gives the registry, and the name of the repository."""
    with ExitStack() as stack:

        def start(**images: MadeImage) -> tuple[Spoiled, str]:
            add_to_registry(tmp_path / "registry", "app", images)
            spoiled = Spoiled()
            application = spoiled.application(tmp_path / "registry")
            address = stack.enter_context(serve_application(application, "127.0.0.1"))
            return spoiled, f"{address}/app"

        yield start


def image_of_three_kinds() -> MadeImage:
    return make_image(
        layer_of(("a/b", b"1"), ("a/c", b"2"), ("d", NOISE)),
        layer_of(("a/.wh.b", b""), symlink("l", "a"), how="zstd"),
        layer_of(("a/c", b"3"), how="none"),
    )


WANTED = {"/a/c": digest_of(b"3"), "/d": digest_of(NOISE), "/l": "a"}


def test_layers_of_a_registry_are_put_together(serve: Serve) -> None:
    spoiled, name = serve(latest=image_of_three_kinds())
    files = read(name)
    assert contents_of(files) == WANTED
    assert files.paths == {"/a/c", "/d"}, "a walk takes /l for the folder that it leads to"
    assert spoiled.ranges == [""] * 4


def test_layers_of_a_folder_are_put_together(tmp_path: Path) -> None:
    image = image_of_three_kinds()
    write_layout(tmp_path, {"t": image, "repository:other": make_image(layer_of(("x", b"")))})
    for name in ("t", image.digest):
        files = read(f"oci:{tmp_path}:{name}")
        assert contents_of(files) == WANTED
        assert files.image.digest == image.digest
    assert contents_of(read(f"oci:{tmp_path}:repository:other")) == {"/x": digest_of(b"")}
    with pytest.raises(ImageError, match=r"choose one of its images: repository:other, t"):
        read(f"oci:{tmp_path}")
    with pytest.raises(ImageError, match=r"choose one of its images"):
        read(f"oci:{tmp_path}:no")


def test_a_layer_that_is_there_twice_is_fetched_once(serve: Serve) -> None:
    twice = layer_of(("a", b"1"))
    between = layer_of((".wh.a", b""), ("b", b"2"))
    spoiled, name = serve(latest=make_image(twice, between, twice))
    assert set(contents_of(read(name))) == {"/a", "/b"}
    assert len(spoiled.ranges) == 3, "a config and two layers"


def test_an_image_without_layers_has_no_files(serve: Serve) -> None:
    assert contents_of(read(serve(latest=make_image())[1])) == {}


def test_the_platform_is_chosen_through_indexes(tmp_path: Path) -> None:
    images = {arch: make_image(layer_of((arch, b""))) for arch in ("amd64", "arm64")}
    write_layout(tmp_path, images)
    entries = [
        {
            "mediaType": f"{OCI}.manifest.v1+json",
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": arch},
        }
        for arch, image in images.items()
    ]
    inner = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    platform = {"os": "linux", "architecture": "arm64"}
    outer = {"digest": write_blob(tmp_path, inner), "size": 1, "platform": platform}
    write_blob(tmp_path, json.dumps({"schemaVersion": 2, "manifests": [outer]}).encode())
    named = {"digest": digest_of(inner), "size": len(inner)}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    assert list(contents_of(read(f"oci:{tmp_path}"))) == ["/amd64"]
    assert list(contents_of(read(f"oci:{tmp_path}", Platform("linux", "arm64")))) == ["/arm64"]
    with pytest.raises(ImageError, match=r"none for linux/s390x; choose of linux/amd64"):
        read(f"oci:{tmp_path}", Platform("linux", "s390x"))


ESTARGZ_FILES = [
    *((f"usr/share/file {number}", NOISE[number * 999 :][:2_000]) for number in range(800)),
    ("usr/lib/large", NOISE),
]


@pytest.mark.parametrize("with_digests", [True, False])
def test_of_an_estargz_layer_only_the_table_is_fetched(serve: Serve, with_digests: bool) -> None:
    layer = make_estargz(ESTARGZ_FILES)
    plain = replace(layer, annotations={})
    spoiled, name = serve(table=make_image(layer), stream=make_image(plain))
    by_table = read(f"{name}:table", with_digests=with_digests)
    by_stream = read(f"{name}:stream", with_digests=with_digests)
    if with_digests:
        assert contents_of(by_table) == contents_of(by_stream)
    wanted = {f"/{path}" for path, _ in ESTARGZ_FILES}
    assert set(contents_of(by_table)) == set(contents_of(by_stream)) == wanted
    assert (by_table.progress.tocs, by_stream.progress.tocs) == (1, 0)
    assert by_stream.progress.fetched_bytes == len(layer.blob) > 4_000_000
    assert by_table.progress.fetched_bytes < 200_000
    assert [r for r in spoiled.ranges if r], "parts were asked for"


def test_without_ranges_the_layer_is_streamed(serve: Serve) -> None:
    layer = make_estargz(ESTARGZ_FILES)
    spoiled, name = serve(latest=make_image(layer))

    async def whole(_: web.Request) -> web.Response:
        return web.Response(body=layer.blob)

    spoiled.spoil(layer, whole)
    files = read(name)
    assert set(contents_of(files)) == {f"/{path}" for path, _ in ESTARGZ_FILES}
    assert files.progress.tocs == 0


@pytest.mark.parametrize("fault", ["no digests", "no footer", "large table"])
def test_a_table_that_does_not_help_is_passed_over(serve: Serve, fault: str) -> None:
    layer = make_estargz(ESTARGZ_FILES, with_digests=fault != "no digests")
    if fault == "no footer":
        layer = replace(layer_of(*ESTARGZ_FILES), annotations=layer.annotations)
    limits = {"toc_bytes_max": 999} if fault == "large table" else {}
    files = read(serve(latest=make_image(layer))[1], limits=limits)
    assert contents_of(files) == {f"/{path}": digest_of(text) for path, text in ESTARGZ_FILES}
    assert files.progress.tocs == 0


def test_a_table_of_another_digest_is_refused(serve: Serve) -> None:
    lie = {"containerd.io/snapshot/stargz/toc.digest": digest_of(b"another")}
    layer = replace(make_estargz(ESTARGZ_FILES), annotations=lie)
    with pytest.raises(ImageError, match=r"its table of contents has the digest sha256:"):
        read(serve(latest=make_image(layer))[1])


def test_a_broken_connection_is_resumed(serve: Serve) -> None:
    layer = layer_of(("large", NOISE))
    spoiled, name = serve(latest=make_image(layer))
    sent = 0

    async def break_off(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        start = request.http_range.start or 0
        response = web.StreamResponse(status=206 if start else 200)
        response.headers["Content-Range"] = f"bytes {start}-{len(layer.blob) - 1}/*"
        response.content_length = len(layer.blob) - start
        await response.prepare(request)
        part = layer.blob[start : start + 200_000]
        sent += len(part)
        await response.write(part)
        if start + len(part) < len(layer.blob):
            assert request.transport is not None
            request.transport.close()
        return response

    spoiled.spoil(layer, break_off)
    assert contents_of(read(name)) == {"/large": digest_of(NOISE)}
    # What was under way when the connection broke may come twice.
    assert len(layer.blob) <= sent < 2 * len(layer.blob)
    assert len(spoiled.ranges) > 10


async def stream(request: web.Request, block: bytes, pause_seconds: float) -> web.StreamResponse:
    """Send a block again and again, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(block)
        await asyncio.sleep(pause_seconds)


def spoilers(layer: MadeLayer) -> dict[str, tuple[Answer, str]]:
    async def endless(request: web.Request) -> web.StreamResponse:
        return await stream(request, layer.blob, 0.0)

    async def trickle(request: web.Request) -> web.StreamResponse:
        return await stream(request, b"\x1f", 0.01)

    async def other(_: web.Request) -> web.Response:
        return web.Response(body=layer.blob[:-1] + b"x")

    async def short(_: web.Request) -> web.Response:
        return web.Response(body=layer.blob[:-9])

    async def gone(_: web.Request) -> web.Response:
        return web.json_response({"errors": [{"code": "BLOB_UNKNOWN"}]}, status=404)

    return {
        "endless": (endless, "longer than the"),
        "trickle": (trickle, "not read within 2 seconds"),
        "other bytes": (other, "its bytes have the digest sha256:"),
        "short": (short, "9 bytes are missing|connection was lost"),
        "gone": (gone, "404 BLOB_UNKNOWN"),
    }


@pytest.mark.parametrize("fault", ["endless", "trickle", "other bytes", "short", "gone"])
def test_a_registry_that_lies_is_told(serve: Serve, fault: str) -> None:
    layer = replace(layer_of(("a", NOISE), how="none"))
    spoiled, name = serve(latest=make_image(layer))
    answer, message = spoilers(layer)[fault]
    spoiled.spoil(layer, answer)
    start = time.monotonic()
    with pytest.raises(PullstudyError, match=message) as caught:
        read(name, limits={"seconds_max": 2.0} if fault == "trickle" else {})
    assert "\n" not in str(caught.value)
    assert digest_of(layer.blob) in str(caught.value) or fault == "trickle"
    assert time.monotonic() - start < 20


ZEROS = make_tar([("zeros", bytes(64 << 20))])

HOSTILE: dict[str, tuple[MadeImage, dict[str, Any], str]] = {
    "gzip bomb": (
        make_image(MadeLayer(compress(ZEROS))),
        {"unpacked_bytes_max": 8 << 20},
        "claims 67108864 bytes for the file 'zeros'",
    ),
    "zstd bomb": (
        make_image(MadeLayer(compress(bytes(64 << 20), "zstd"))),
        {"unpacked_bytes_max": 8 << 20},
        "more than 8,388,608 unpacked bytes",
    ),
    "bombs in layers": (
        make_image(*(layer_of((str(n), bytes(4 << 20))) for n in range(5))),
        {"unpacked_bytes_max": 15 << 20},
        "more than 15,728,640 unpacked bytes",
    ),
    "traversal": (make_image(layer_of(("../../etc/passwd", b""))), {}, "outside of the image"),
    "many layers": (make_image(*[layer_of()] * 101), {"layers_max": 100}, "has 101 layers"),
    "many files": (
        make_image(layer_of(*((str(n), b"") for n in range(1_001)))),
        {"entries_max": 1_000},
        "more than 1,000 files",
    ),
    "large claim": (
        make_image(replace(layer_of(), size_bytes=1 << 47)),
        {},
        "compressed bytes, more than",
    ),
    "no tar": (make_image(MadeLayer(compress(b"noise" * 999))), {}, "is no tar"),
    "cut tar": (make_image(MadeLayer(compress(ZEROS[:9_999]))), {}, "its tar ends too early"),
    "cut gzip": (make_image(MadeLayer(compress(ZEROS)[:-1])), {}, "gzip stream ends too early"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_images_are_told_in_one_line(tmp_path: Path, case: str) -> None:
    image, limits, message = HOSTILE[case]
    write_layout(tmp_path, {"t": image})
    with pytest.raises(ImageError) as caught:
        read(f"oci:{tmp_path}:t", limits=limits)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"oci:{tmp_path}:t: ")
    assert "\n" not in str(caught.value)


DOCUMENTS = {
    "no json": (b"{", "manifest cannot be read"),
    "traversal": (
        make_image().manifest.replace(b'"digest": "sha256:', b'"digest": "sha256:../../'),
        "wrong digest",
    ),
    "schema 1": (b'{"schemaVersion": 1, "fsLayers": []}', "of the kind 'schema1'"),
    "artifact": (
        b'{"schemaVersion": 2, "config": {"mediaType": "application/vnd.unknown"}, "layers": []}',
        "of the kind 'artifact'",
    ),
    "negative size": (
        make_image(layer_of()).manifest.replace(b'"size": ', b'"size": -'),
        "manifest cannot be read|manifest or config cannot be read",
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_manifests_that_are_none_are_told_in_one_line(tmp_path: Path, case: str) -> None:
    content, message = DOCUMENTS[case]
    write_layout(tmp_path, {"t": MadeImage(content, b"{}", [])})
    with pytest.raises(ImageError, match=message) as caught:
        read(f"oci:{tmp_path}:t")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["missing", "damaged", "other size", "folder"])
def test_a_damaged_folder_is_told(tmp_path: Path, fault: str) -> None:
    image = make_image(layer_of(("a", b"1")))
    write_layout(tmp_path, {"t": image})
    blob = tmp_path / "blobs" / digest_of(image.layers[0].blob).replace(":", "/")
    content = blob.read_bytes()
    blob.unlink()
    if fault == "damaged":
        blob.write_bytes(content[:-1] + b"\xff")
    elif fault == "other size":
        blob.write_bytes(content + b"more")
    elif fault == "folder":
        blob.mkdir()
    with pytest.raises(ImageError, match=r"missing|gzip|bytes, not"):
        read(f"oci:{tmp_path}:t")


def test_a_manifest_that_was_changed_is_told(tmp_path: Path) -> None:
    image = make_image(layer_of(("a", b"1")))
    write_layout(tmp_path, {"t": image})
    path = tmp_path / "blobs" / image.digest.replace(":", "/")
    path.write_bytes(image.manifest + b" ")
    with pytest.raises(ImageError, match="damaged"):
        read(f"oci:{tmp_path}:t")


def test_no_such_image(serve: Serve, tmp_path: Path) -> None:
    _, name = serve(latest=make_image())
    with pytest.raises(RequestFailed, match="404"):
        read(f"{name}-other")
    with pytest.raises(ImageError, match="no OCI image layout"):
        read(f"oci:{tmp_path}/nowhere")


WATCHED = textwrap.dedent("""
    import os, resource, sys

    forbidden = []

    def watch(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes and path not in ("/dev/null", os.devnull):
                forbidden.append(f"{event} {path} {mode} {flags}")
        elif event.startswith(("subprocess.", "os.exec", "os.fork", "os.spawn", "os.posix_spawn",
                               "os.system", "os.mkdir", "os.rename", "os.link", "os.symlink",
                               "os.chmod", "os.chown", "os.truncate", "os.remove", "os.mknod",
                               "tempfile.", "shutil.")):
            forbidden.append(f"{event} {arguments}")

    from tests.unit.bases.test_paths import read
    read(sys.argv[1])  # what is loaded when it is first used
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.addaudithook(watch)
    files = read(sys.argv[2])
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(len(files.files), grown_kib, *forbidden, sep="\\n")
""")


def test_nothing_is_written_nothing_is_executed_and_little_is_held(tmp_path: Path) -> None:
    bomb = MadeLayer(compress(make_tar([("zeros", bytes(300 << 20))]), "zstd"))
    evil = layer_of(("bin/run", b"#!/bin/sh\ntouch /tmp/evil\n"), symlink("out", "/tmp"))
    images = {"small": make_image(layer_of(("a", b"1"))), "bomb": make_image(evil, bomb)}
    add_to_registry(tmp_path, "app", images)
    with serve_layout(tmp_path) as address:
        run = subprocess.run(
            [sys.executable, "-c", WATCHED, f"{address}/app:small", f"{address}/app:bomb"],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env={"PYTHONPATH": f"{ROOT}/scripts:{ROOT}", "DOCKER_CONFIG": str(tmp_path)},
        )  # fmt: skip
    count, grown_kib, *forbidden = run.stdout.splitlines()
    assert count == "3"
    assert forbidden == []
    assert int(grown_kib) < 150 << 10, "300 MiB of zeros went through"
