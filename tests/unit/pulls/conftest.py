"""Small images in a layout, and a registry that fails where a test wants it to."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard
from aiohttp import web

from pullstudy.registry.content import digest_of
from pullstudy.registry.layout import ImageLayout
from pullstudy.registry.server import Handler, Registry, serve_application

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
SUFFIX = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}
REPOSITORY = "t/pulled"
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "none": bytes,
}


def make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def add_image(root: Path, tag: str, tars: list[bytes], compression: str = "gzip") -> list[bytes]:
    """Put an image of such layers into a layout; returns its compressed layers."""
    layout = ImageLayout(root)
    blobs = [PACK[compression](tar) for tar in tars]
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": list(map(digest_of, tars))},
        }
    ).encode()
    for blob in (*blobs, config):
        layout.add_blob(REPOSITORY, digest_of(blob), blob)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": LAYER_TYPE + SUFFIX[compression],
                    "digest": digest_of(blob),
                    "size": len(blob),
                }
                for blob in blobs
            ],
        }
    ).encode()
    layout.add_manifest(REPOSITORY, digest_of(manifest), MANIFEST_TYPE, manifest)
    layout.set_tag(REPOSITORY, tag, digest_of(manifest))
    layout.save()
    return blobs


def add_index(root: Path, tag: str, tags: dict[str, str]) -> None:
    """Put an index into a layout: a tag that is there for each architecture."""
    layout = ImageLayout(root)
    digests = layout.repositories[REPOSITORY].tags
    entries = [
        {
            "mediaType": MANIFEST_TYPE,
            "digest": digests[named],
            "size": 1,
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, named in tags.items()
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
    layout.add_manifest(REPOSITORY, digest_of(index), INDEX_TYPE, index)
    layout.set_tag(REPOSITORY, tag, digest_of(index))
    layout.save()


TARS = [make_tar({f"d{n}/f": bytes([n]) * 100_000}) for n in range(3)]


@dataclass
class FaultyRegistry:
    """An embedded registry; statuses: what the next requests for blobs are answered with.

    stalled: requests for blobs that never end. flipped: blobs of which a byte is changed. broken:
    requests for blobs whose connection breaks in the middle.
    """

    root: Path
    address: str = ""
    statuses: list[int] = field(default_factory=list)
    is_open: bool = True
    stalled: int = 0
    broken: int = 0
    flipped: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def image(self, tag: str) -> str:
        return f"{self.address}/{REPOSITORY}:{tag}"

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        digest = request.match_info.get("digest", "")
        if not digest:
            return await handler(request)
        self.asked.append(digest)
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        if self.stalled:
            self.stalled -= 1
            while self.is_open:
                await asyncio.sleep(0.05)
        path = self.root / "blobs" / digest.replace(":", "/")
        if self.broken:
            self.broken -= 1
            await self._break(request, path.read_bytes())
        if digest in self.flipped:
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            return web.Response(body=bytes(content))
        return await handler(request)

    async def _break(self, request: web.Request, content: bytes) -> None:
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.close()


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyRegistry]:
    """A registry with an image `small` of three layers in gzip, and `zstd` of the same."""
    registry = FaultyRegistry(tmp_path / "layout")
    add_image(registry.root, "small", TARS)
    add_image(registry.root, "zstd", TARS, "zstd")
    app = Registry(ImageLayout(registry.root)).application()
    app.middlewares.append(registry.answer)
    with serve_application(app, "127.0.0.1") as address:
        registry.address = address
        yield registry
        registry.is_open = False
