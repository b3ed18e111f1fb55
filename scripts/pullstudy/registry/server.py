"""A small registry over an OCI image layout: pulls and pushes, no root, loopback by default.

It serves the sample study and the tests. Source: OCI distribution specification 1.1; where that
leaves a choice, it does what Distribution 2.8 does, and the same tests hold both to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import orjson
from aiohttp import web

from pullstudy.errors import RegistryError
from pullstudy.naming import is_digest, is_repository, is_tag
from pullstudy.registry.content import digest_of
from pullstudy.registry.layout import ImageLayout, Repository, blobs_of
from pullstudy.registry.uploads import Uploads, WrongChunk, WrongDigest

_MANIFEST_BYTES_MAX = 4 << 20
_SAVE_EVERY_SECONDS = 1.0
_NAME = r"/v2/{name:.+}"
_read_range = re.compile(r"(\d+)-(\d+)").fullmatch

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Refusal(Exception):
    """An error of the specification: its code, its HTTP status and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Registry:
    """The handlers of one registry."""

    def __init__(self, layout: ImageLayout) -> None:
        self._layout = layout
        self._uploads = Uploads(layout.root / ".uploads")

    def application(self) -> web.Application:
        """Return the web application that serves the layout."""
        app = web.Application(middlewares=[_answer_refusals], client_max_size=_MANIFEST_BYTES_MAX)
        app.add_routes(
            [
                web.get("/v2/", self._ping),
                web.get(f"{_NAME}/tags/list", self._list_tags),
                web.get(f"{_NAME}/manifests/{{reference}}", self._get_manifest),
                web.put(f"{_NAME}/manifests/{{reference}}", self._put_manifest),
                web.delete(f"{_NAME}/manifests/{{reference}}", self._delete_manifest),
                web.post(f"{_NAME}/blobs/uploads/", self._begin_upload),
                web.get(f"{_NAME}/blobs/uploads/{{upload}}", self._show_upload),
                web.patch(f"{_NAME}/blobs/uploads/{{upload}}", self._continue_upload),
                web.put(f"{_NAME}/blobs/uploads/{{upload}}", self._end_upload),
                web.delete(f"{_NAME}/blobs/uploads/{{upload}}", self._cancel_upload),
                web.get(f"{_NAME}/blobs/{{digest}}", self._get_blob),
                web.delete(f"{_NAME}/blobs/{{digest}}", self._delete_blob),
            ]
        )
        app.cleanup_ctx.append(self._save_now_and_then)
        return app

    async def _save_now_and_then(self, _: web.Application) -> AsyncIterator[None]:
        async def save() -> None:
            while True:
                await asyncio.sleep(_SAVE_EVERY_SECONDS)
                self._layout.save()

        task = asyncio.create_task(save())
        yield
        task.cancel()
        self._layout.save()
        self._uploads.clear()

    async def _ping(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _list_tags(self, request: web.Request) -> web.Response:
        name, repository = self._find(request)
        if not repository.tags and not repository.manifests:
            raise _Refusal(404, "NAME_UNKNOWN", f"there is no repository {name}")
        last = request.query.get("last")
        start = 0 if last is None else bisect_right(repository.tag_order, last)
        count = _read_count(request)
        end = len(repository.tag_order) if count is None else start + count
        page = repository.tag_order[start:end]
        headers = {}
        if page and end < len(repository.tag_order):
            query = urlencode({"last": page[-1], "n": count})
            headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
        return web.json_response({"name": name, "tags": page}, headers=headers)

    async def _get_manifest(self, request: web.Request) -> web.Response:
        _, repository = self._find(request)
        digest = self._resolve(repository, request.match_info["reference"])
        content = self._layout.store.get(digest)
        if content is None:
            raise _Refusal(404, "MANIFEST_UNKNOWN", f"{digest} is damaged on disk")
        headers = {
            "Content-Type": repository.manifests[digest],
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
        }
        return web.Response(body=content, headers=headers)

    async def _put_manifest(self, request: web.Request) -> web.Response:
        name, repository = self._find(request)
        reference = request.match_info["reference"]
        content = await request.read()
        digest = digest_of(content, reference if is_digest(reference) else "sha256:")
        if is_digest(reference) and digest != reference:
            raise _Refusal(400, "DIGEST_INVALID", f"the content has the digest {digest}")
        if not is_digest(reference) and not is_tag(reference):
            raise _Refusal(400, "TAG_INVALID", "neither a tag nor a digest")
        media_type = _check_manifest(repository, content, request.content_type)
        self._layout.add_manifest(name, digest, media_type, content)
        if is_tag(reference):
            self._layout.set_tag(name, reference, digest)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        return web.Response(status=201, headers=headers)

    async def _delete_manifest(self, request: web.Request) -> web.Response:
        name, repository = self._find(request)
        reference = request.match_info["reference"]
        self._resolve(repository, reference)
        self._layout.delete_manifest(name, reference)
        return web.Response(status=202)

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        digest = self._find_blob(request)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
        }
        return web.FileResponse(self._layout.store.path(digest), headers=headers)

    async def _delete_blob(self, request: web.Request) -> web.Response:
        digest = self._find_blob(request)
        self._layout.delete_blob(request.match_info["name"], digest)
        return web.Response(status=202)

    async def _begin_upload(self, request: web.Request) -> web.Response:
        name, repository = self._find(request)
        mounted, source = request.query.get("mount", ""), request.query.get("from", "")
        other = self._layout.repositories.get(source)
        if other is not None and mounted in other.blobs:
            repository.blobs.add(mounted)
            return _created(name, mounted)
        upload = self._uploads.begin()
        if "digest" in request.query:
            return await self._receive_all(request, upload)
        return self._upload_answer(202, name, upload)

    async def _show_upload(self, request: web.Request) -> web.Response:
        name, upload = self._find_upload(request)
        return self._upload_answer(204, name, upload)

    async def _continue_upload(self, request: web.Request) -> web.Response:
        name, upload = self._find_upload(request)
        await self._receive(request, upload)
        return self._upload_answer(202, name, upload)

    async def _end_upload(self, request: web.Request) -> web.Response:
        _, upload = self._find_upload(request)
        return await self._receive_all(request, upload)

    async def _cancel_upload(self, request: web.Request) -> web.Response:
        _, upload = self._find_upload(request)
        self._uploads.cancel(upload)
        return web.Response(status=204)

    async def _receive(self, request: web.Request, upload: str) -> None:
        start = None
        if written := request.headers.get("Content-Range"):
            match = _read_range(written.removeprefix("bytes ").partition("/")[0])
            if match is None:
                raise _Refusal(416, "BLOB_UPLOAD_INVALID", f"no range: {written!r}")
            start = int(match[1])
        try:
            await self._uploads.receive(upload, start, request.content.iter_any())
        except WrongChunk as exc:
            raise _Refusal(416, "BLOB_UPLOAD_INVALID", str(exc)) from exc
        except ConnectionError as exc:
            # Nobody is there to read it; the client asks later how far it came.
            raise _Refusal(400, "BLOB_UPLOAD_INVALID", "the connection was lost") from exc

    async def _receive_all(self, request: web.Request, upload: str) -> web.Response:
        name, repository = self._find(request)
        digest = request.query.get("digest", "")
        if not is_digest(digest):
            raise _Refusal(400, "DIGEST_INVALID", "no digest of the blob is given")
        await self._receive(request, upload)
        try:
            complete = self._uploads.finish(upload, digest)
        except WrongDigest as exc:
            raise _Refusal(400, "DIGEST_INVALID", str(exc)) from exc
        self._layout.store.adopt(digest, complete)
        repository.blobs.add(digest)
        return _created(name, digest)

    def _upload_answer(self, status: int, name: str, upload: str) -> web.Response:
        last_byte = max(0, self._uploads.size_bytes(upload) - 1)
        headers = {
            "Location": f"/v2/{name}/blobs/uploads/{upload}",
            "Docker-Upload-UUID": upload,
            "Range": f"0-{last_byte}",
        }
        return web.Response(status=status, headers=headers)

    def _find(self, request: web.Request) -> tuple[str, Repository]:
        name = request.match_info["name"]
        if not is_repository(name):
            raise _Refusal(400, "NAME_INVALID", "not a repository name")
        if request.method in ("PUT", "POST", "PATCH"):
            return name, self._layout.repository(name)
        return name, self._layout.repositories.get(name, Repository())

    def _find_blob(self, request: web.Request) -> str:
        _, repository = self._find(request)
        digest = request.match_info["digest"]
        if not is_digest(digest):
            raise _Refusal(400, "DIGEST_INVALID", "not a digest")
        if digest not in repository.blobs:
            raise _Refusal(404, "BLOB_UNKNOWN", "the repository has no such blob")
        return digest

    def _find_upload(self, request: web.Request) -> tuple[str, str]:
        name, _ = self._find(request)
        upload = request.match_info["upload"]
        if upload not in self._uploads:
            raise _Refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        return name, upload

    def _resolve(self, repository: Repository, reference: str) -> str:
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            raise _Refusal(404, "MANIFEST_UNKNOWN", "the repository has no such manifest")
        return digest


@contextlib.contextmanager
def serve_layout(
    root: Path, host: str = "127.0.0.1", port: int = 0, repository: str | None = None
) -> Iterator[str]:
    """Serve an image layout from a thread while the block runs; gives `host:port`.

    port: 0 takes a free one. repository: takes tags of the layout that stand without one. Raises
    RegistryError when the address cannot be had.
    """
    app = Registry(ImageLayout(root, repository)).application()
    with serve_application(app, host, port) as address:
        yield address


@contextlib.contextmanager
def serve_application(app: web.Application, host: str, port: int = 0) -> Iterator[str]:
    """Serve a web application from a thread while the block runs; gives `host:port`.

    Raises RegistryError when the address cannot be had.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="registry", daemon=True)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        return f"{host}:{runner.addresses[0][1]}"

    thread.start()
    try:
        try:
            address = asyncio.run_coroutine_threadsafe(start(), loop).result()
        except OSError as exc:
            raise RegistryError(
                f"{host}:{port}: cannot be served: {exc.strerror}; take another port"
            ) from exc
        yield address
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except _Refusal as refusal:
        error = {"code": refusal.code, "message": str(refusal)}
        response = web.json_response({"errors": [error]}, status=refusal.status)
    response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
    return response


def _created(name: str, digest: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


def _read_count(request: web.Request) -> int | None:
    text = request.query.get("n")
    if text is None:
        return None
    if not text.isdecimal():
        raise _Refusal(400, "PAGINATION_NUMBER_INVALID", "n is no number of tags")
    return int(text)


def _check_manifest(repository: Repository, content: bytes, content_type: str) -> str:
    """Return the media type of a manifest all of whose parts are in the repository."""
    try:
        manifest = orjson.loads(content)
        media_type = manifest.get("mediaType") or content_type
        blobs = [blob["digest"] for blob in blobs_of(manifest) if not blob.get("urls")]
        children = [child["digest"] for child in manifest.get("manifests", ())]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise _Refusal(400, "MANIFEST_INVALID", "no manifest") from exc
    if not {"config", "layers", "manifests", "schemaVersion"} & manifest.keys():
        raise _Refusal(400, "MANIFEST_INVALID", "no manifest")
    missing = [digest for digest in blobs if digest not in repository.blobs]
    missing += [digest for digest in children if digest not in repository.manifests]
    if missing:
        raise _Refusal(400, "MANIFEST_BLOB_UNKNOWN", f"{missing[0]} is not in the repository")
    return str(media_type)
