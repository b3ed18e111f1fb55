"""Pushing blobs: both registries must take them, and every way a push can break must mend."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiohttp import web

from pullstudy.errors import RegistryError
from pullstudy.registry import push
from pullstudy.registry.auth import Credentials
from pullstudy.registry.layout import ImageLayout
from pullstudy.registry.push import BlobRequest, RepositoryPusher
from pullstudy.registry.server import Registry, serve_application
from pullstudy.registry.transport import RequestFailed
from tests.integration.wires import serve_wire

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry

MIB = 1 << 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_FIRST_BACKOFF_SECONDS", 0.01)


@dataclass
class Source:
    """A blob that can be generated again; counts how often it was."""

    size_bytes: int
    seed: int = 0
    starts: int = 0
    digest: str = ""

    def __iter__(self) -> Iterator[memoryview]:
        self.starts += 1
        found = hashlib.sha256()
        data = self.data()
        for start in range(0, len(data), 100_003):
            block = data[start : start + 100_003]
            found.update(block)
            yield memoryview(block)
        self.digest = f"sha256:{found.hexdigest()}"

    def data(self) -> bytes:
        return np.random.default_rng(self.seed).bytes(self.size_bytes)


def request_of(source: Source, **more: Any) -> BlobRequest:
    return BlobRequest(source.size_bytes, lambda: source, **more)


@pytest.mark.parametrize("size", [0, 1, 2, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])
@pytest.mark.parametrize("chunk", [0, MIB, 64 * MIB])
def test_a_blob_arrives_whole(
    size: int, chunk: int, registry: LiveRegistry, repository: str
) -> None:
    pusher = RepositoryPusher(registry.address, repository, chunk_bytes=chunk)
    source = Source(size, seed=size)
    digest = f"sha256:{hashlib.sha256(source.data()).hexdigest()}"
    assert not pusher.has_blob(digest)
    assert pusher.push_blob(request_of(source)) == digest
    assert pusher.has_blob(digest)
    assert b"".join(pusher.read_blob(digest)) == source.data()
    assert source.starts == 1


class Killed(Exception):
    """Stands for the end of the process."""


def die_after(chunks: int, addresses: list[str]) -> Callable[[str], None]:
    def remember(url: str) -> None:
        addresses.append(url)
        if len(addresses) == chunks:
            raise Killed

    return remember


def test_an_upload_goes_on_where_another_process_left_it(
    registry: LiveRegistry, repository: str
) -> None:
    addresses: list[str] = []
    source = Source(5 * MIB, seed=1)
    pusher = RepositoryPusher(registry.address, repository, chunk_bytes=MIB)
    with pytest.raises(Killed):
        pusher.push_blob(request_of(source, remember=die_after(3, addresses)))
    with serve_wire(registry.address, []) as wire:
        pusher = RepositoryPusher(wire.address, repository, chunk_bytes=MIB)
        url = addresses[-1].replace(addresses[-1].split("/")[2], wire.address)
        digest = pusher.push_blob(request_of(Source(5 * MIB, seed=1), upload_url=url))
        # Three chunks came before.
        assert 2 * MIB < wire.sent_bytes < 2 * MIB + 100_000
    assert b"".join(pusher_of(registry, repository).read_blob(digest)) == source.data()


def pusher_of(registry: LiveRegistry, repository: str) -> RepositoryPusher:
    return RepositoryPusher(registry.address, repository)


def test_an_upload_that_is_gone_begins_anew(registry: LiveRegistry, repository: str) -> None:
    upload = "0c4e9b3e-6d11-4d4e-9c0a-1d2e3f405162"
    url = f"http://{registry.address}/v2/{repository}/blobs/uploads/{upload}"
    source = Source(MIB, seed=2)
    assert pusher_of(registry, repository).push_blob(request_of(source, upload_url=url))


def test_an_upload_of_other_bytes_is_thrown_away(registry: LiveRegistry, repository: str) -> None:
    """The journal may be wrong; the registry sees it at the end, and the blob is sent again."""
    addresses: list[str] = []
    pusher = RepositoryPusher(registry.address, repository, chunk_bytes=MIB)
    with pytest.raises(Killed):
        source = Source(2 * MIB, seed=3)
        pusher.push_blob(request_of(source, remember=die_after(1, addresses)))
    url = addresses[-1]
    other = Source(2 * MIB, seed=4)
    digest = pusher_of(registry, repository).push_blob(request_of(other, upload_url=url))
    assert b"".join(pusher_of(registry, repository).read_blob(digest)) == other.data()


@pytest.mark.parametrize("chunk", [0, MIB])
def test_lost_connections_are_mended(chunk: int, registry: LiveRegistry, repository: str) -> None:
    """Each connection breaks after some bytes, in the middle of a chunk."""
    size = 6 * MIB
    limits = [1_400_000, 900_000, 2_000_000, 1_700_000]
    with serve_wire(registry.address, limits) as wire:
        pusher = RepositoryPusher(wire.address, repository, chunk_bytes=chunk)
        source = Source(size, seed=5)
        digest = pusher.push_blob(request_of(source))
        assert wire.connections > 4
        if registry.kind == "embedded":
            # What arrived is not sent again, but for what was under way.
            assert wire.sent_bytes < size + 4 * 300_000
        else:
            # Distribution throws such an upload away: at worst all was sent in vain.
            assert wire.sent_bytes < size + sum(limits) + 300_000
    assert b"".join(pusher_of(registry, repository).read_blob(digest)) == source.data()


def test_a_registry_that_stays_away_is_given_up(repository: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(RequestFailed, match=r"Connection refused; run again to go on") as caught:
        RepositoryPusher(address, repository).push_blob(request_of(Source(10)))
    assert "\n" not in str(caught.value)


def test_blobs_are_mounted_from_another_repository(registry: LiveRegistry, repository: str) -> None:
    digest = pusher_of(registry, f"{repository}/a").push_blob(request_of(Source(1000, seed=6)))
    other = pusher_of(registry, f"{repository}/b")
    assert not other.has_blob(digest)
    assert other.mount_blob(digest, f"{repository}/a")
    assert other.has_blob(digest)
    assert not other.mount_blob(f"sha256:{'0' * 64}", f"{repository}/a")


def test_small_blobs_and_manifests(registry: LiveRegistry, repository: str) -> None:
    pusher = pusher_of(registry, repository)
    pusher.check_permission()
    digest = pusher.push_bytes(b"{}")
    assert pusher.push_bytes(b"{}") == digest
    media_type = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []}
    ).encode()
    assert pusher.get_manifest("v1", [media_type]) is None
    found = pusher.put_manifest("v1", manifest, media_type)
    assert pusher.get_manifest("v1", [media_type]) == (manifest, media_type)
    assert pusher.get_manifest(found, [media_type]) == (manifest, media_type)


@contextlib.contextmanager
def serve_guarded(
    folder: Path, guard: Callable[[web.Request], web.Response | None]
) -> Iterator[str]:
    """Serve the embedded registry behind a guard, which may answer in its place."""

    @web.middleware
    async def ask_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        return guard(request) or await handler(request)

    app = Registry(ImageLayout(folder)).application()
    app.middlewares.append(ask_guard)
    with serve_application(app, "127.0.0.1") as address:
        yield address


def errors(code: str, message: str, detail: Any = None) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message, "detail": detail}]}


@pytest.mark.parametrize(
    ("method", "status", "body", "words"),
    [
        ("POST", 401, errors("UNAUTHORIZED", "who are you"), "docker login"),
        ("POST", 403, errors("DENIED", "no push for you"), "DENIED: no push for you"),
        ("POST", 405, errors("UNSUPPORTED", "a pull-through cache"), "takes no pushes"),
        ("POST", 404, errors("NAME_UNKNOWN", "no such repository"), "NAME_UNKNOWN"),
        ("PATCH", 413, {}, "413 request entity too large"),
        (
            "PATCH",
            500,
            errors("UNKNOWN", "unknown error", {"Err": "no space left on device"}),
            "no space left on device",
        ),
        ("PATCH", 507, {}, "507 insufficient storage"),
        ("PUT", 503, {}, "503 service unavailable; run again to go on"),
    ],
)
def test_a_refusal_is_one_clear_line(
    method: str, status: int, body: dict[str, Any], words: str, tmp_path: Path
) -> None:
    def guard(request: web.Request) -> web.Response | None:
        refused = request.method == method and "/uploads/" in request.path
        return web.json_response(body, status=status) if refused else None

    with serve_guarded(tmp_path, guard) as address:
        pusher = RepositoryPusher(address, "a/b")
        with pytest.raises(RegistryError) as caught:
            pusher.push_blob(request_of(Source(3 * MIB)))
    message = str(caught.value)
    assert words in message
    assert message.startswith(address)
    assert "\n" not in message


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "GET"])
def test_a_registry_that_stumbles_is_asked_again(method: str, tmp_path: Path) -> None:
    left = [503, 502, 429]

    def guard(request: web.Request) -> web.Response | None:
        if request.method == "PATCH" and method == "GET" and left:
            return web.Response(status=left.pop())
        stumbles = request.method == method and "/uploads/" in request.path
        return web.Response(status=left.pop()) if stumbles and left else None

    with serve_guarded(tmp_path, guard) as address:
        pusher = RepositoryPusher(address, "a/b", chunk_bytes=MIB)
        source = Source(3 * MIB, seed=8)
        digest = pusher.push_blob(request_of(source))
        assert b"".join(pusher.read_blob(digest)) == source.data()
    assert not left


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_what_is_no_upload_is_asked_again_too(method: str, tmp_path: Path) -> None:
    left = [503, 429, 502]

    def guard(request: web.Request) -> web.Response | None:
        stumbles = request.method == method and "/uploads/" not in request.path
        return web.Response(status=left.pop()) if stumbles and left else None

    media_type = "application/vnd.oci.image.manifest.v1+json"
    with serve_guarded(tmp_path, guard) as address:
        pusher = RepositoryPusher(address, "a/b")
        config = {"mediaType": "x", "digest": pusher.push_bytes(b"{}"), "size": 2}
        manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
        pusher.put_manifest("v1", manifest, media_type)
        assert pusher.get_manifest("v1", [media_type]) == (manifest, media_type)
    assert not left


def test_tokens_are_fetched_and_renewed_in_the_middle_of_a_blob(tmp_path: Path) -> None:
    """A token is good for three requests here; the blob needs more than that."""
    uses: dict[str, int] = {}
    asked: list[str] = []

    def guard(request: web.Request) -> web.Response | None:
        if request.path == "/v2/token":
            asked.append(request.query["scope"])
            if request.headers.get("Authorization") != "Basic dTpw":
                return web.Response(status=401)
            uses[token := f"token{len(asked)}"] = 3
            return web.json_response({"token": token, "expires_in": 300})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if uses.get(token, 0) > 0:
            uses[token] -= 1
            return None
        challenge = f'Bearer realm="http://{request.host}/v2/token",service="s"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    with serve_guarded(tmp_path, guard) as address:
        pusher = RepositoryPusher(address, "a/b", Credentials("u", "p"), chunk_bytes=MIB)
        source = Source(8 * MIB, seed=9)
        digest = pusher.push_blob(request_of(source))
        assert b"".join(pusher.read_blob(digest)) == source.data()
        assert set(asked) == {"repository:a/b:pull,push"}
        assert len(asked) >= 3
        stranger = RepositoryPusher(address, "a/b", Credentials("u", "wrong"))
        with pytest.raises(RegistryError, match="docker login") as caught:
            stranger.check_permission()
    assert "wrong" not in str(caught.value)


def test_several_threads_push_side_by_side(registry: LiveRegistry, repository: str) -> None:
    pusher = RepositoryPusher(registry.address, repository, chunk_bytes=MIB)
    sources = [Source(2 * MIB + n, seed=n) for n in range(6)]
    threads = [
        threading.Thread(target=pusher.push_blob, args=(request_of(source),)) for source in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for source in sources:
        assert b"".join(pusher.read_blob(source.digest)) == source.data()
