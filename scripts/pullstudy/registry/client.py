"""Read one registry by the distribution protocol: tags, manifests, configs; all verified.

Sources: OCI distribution specification 1.1 (pull, content discovery), OCI image specification 1.1
(descriptors, digests), Docker Registry HTTP API V2 (schema 1 digests).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
import orjson

from pullstudy.naming import is_digest
from pullstudy.registry.auth import repository_scope
from pullstudy.registry.content import digest_of
from pullstudy.registry.messages import Answer, Request
from pullstudy.registry.transport import RequestFailed, Transport

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

_ACCEPT_MANIFEST = ", ".join(
    (
        OCI_INDEX,
        OCI_MANIFEST,
        DOCKER_LIST,
        DOCKER_MANIFEST,
        OCI_ARTIFACT,
        DOCKER_SCHEMA1_SIGNED,
        DOCKER_SCHEMA1,
    )
)
# Distribution specification: registries should accept manifests of up to 4 MiB.
_MANIFEST_BYTES_MAX = 4 << 20
_CONFIG_BYTES_MAX = 32 << 20
_TAG_PAGE_BYTES_MAX = 64 << 20
_PAGE_SIZE = 1000
# Pages without a new tag that are borne before the pagination is called endless.
_STALE_PAGES_MAX = 3
_has_next = re.compile(r"\bnext\b", re.IGNORECASE).search


class _TagList(msgspec.Struct):
    # Distribution answers null for a repository without tags, others leave the key out.
    name: str | None = None
    tags: list[str] | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.name is None and self.tags is msgspec.UNSET:
            raise ValueError("neither name nor tags")


_decode_tags = msgspec.json.Decoder(_TagList).decode


@dataclass(frozen=True)
class TagHead:
    """What a registry says of a tag without sending the manifest."""

    digest: str
    media_type: str


@dataclass(frozen=True)
class Manifest:
    """A verified manifest; `media_type` is the registry's word for it."""

    digest: str
    media_type: str
    content: bytes


class Cache(Protocol):
    """Content by digest, on disk (`ContentStore`) or in memory; it holds verified content only."""

    def __contains__(self, digest: str) -> bool: ...

    def get(self, digest: str) -> bytes | None:
        """Return the content, or None when it is not there."""

    def put(self, digest: str, content: bytes) -> None:
        """Keep the content."""


class RegistryClient:
    """Reads of one registry; what has a digest comes from the cache, or is fetched once."""

    def __init__(self, transport: Transport, cache: Cache) -> None:
        self._transport = transport
        self._cache = cache
        self._under_way: dict[str, list[asyncio.Future[bytes]]] = {}

    def has(self, digest: str | None) -> bool:
        """Whether the content of a digest is in the cache."""
        return digest is not None and digest in self._cache

    async def tag_pages(self, repository: str) -> AsyncIterator[list[str]]:
        """Yield the names of all tags page by page, none twice, as the registry orders them.

        They are the registry's words and need not all be valid tags. Raises RequestFailed, with
        the reason `endless_pages` when the pages lead in a circle.
        """
        whole_list = f"/v2/{repository}/tags/list"
        path = f"{whole_list}?n={_PAGE_SIZE}"
        visited: set[str] = set()
        known: set[str] = set()
        stale_pages = 0
        while path:
            visited.add(path)
            try:
                tags, following, request = await self._get_page(repository, path)
            except RequestFailed as exc:
                if exc.status != 400 or len(visited) > 1:
                    raise
                # Its pages are shorter than that: let it choose.
                path = whole_list
                continue
            fresh = [tag for tag in dict.fromkeys(tags) if tag not in known]
            known.update(fresh)
            if fresh:
                yield fresh
            stale_pages = 0 if fresh else stale_pages + 1
            if following in visited or (following and stale_pages >= _STALE_PAGES_MAX):
                detail = f"its list of tags leads in a circle ({len(known)} tags read)"
                raise self._transport.failure(request, "endless_pages", detail)
            path = following or (_page_after(repository, tags) if fresh else "")

    async def head_tag(self, repository: str, tag: str) -> TagHead | None:
        """Ask what a tag names without fetching it; None when the registry does not say."""
        request = _manifest_request("HEAD", repository, tag)
        try:
            answer = await self._transport.send(request, lambda answer: answer)
        except RequestFailed as exc:
            if exc.status in (400, 405, 501):
                return None
            raise
        digest = answer.headers.get("Docker-Content-Digest", "")
        return TagHead(digest, _media_type_of(answer)) if is_digest(digest) else None

    async def get_tag(self, repository: str, tag: str) -> Manifest:
        """Fetch the manifest that a tag names now, and keep it under its digest.

        Raises RequestFailed, with the reason `digest_mismatch` when its content stays wrong.
        """
        request = _manifest_request("GET", repository, tag)
        manifest = await self._transport.send(
            request, lambda answer: self._verify_tag(request, answer)
        )
        if manifest.digest not in self._cache:
            self._cache.put(manifest.digest, manifest.content)
        return manifest

    async def get_manifest(self, repository: str, digest: str) -> bytes:
        """Return the manifest of a digest. Raises RequestFailed."""
        request = _manifest_request("GET", repository, digest)
        return await self._get_once(request, digest)

    async def get_config(self, repository: str, digest: str) -> bytes:
        """Return the config of a digest. Raises RequestFailed."""
        path = f"/v2/{repository}/blobs/{digest}"
        scope = repository_scope(repository)
        request = Request("GET", path, scope, size_bytes_max=_CONFIG_BYTES_MAX)
        return await self._get_once(request, digest)

    async def _get_once(self, request: Request, digest: str) -> bytes:
        content = self._cache.get(digest)
        if content is not None:
            return content
        if digest not in self._under_way:
            return await self._get_for_all(request, digest)
        future = asyncio.get_running_loop().create_future()
        self._under_way[digest].append(future)
        return await future

    async def _get_for_all(self, request: Request, digest: str) -> bytes:
        """Fetch a content for all who want it until it is there."""
        self._under_way[digest] = []
        try:
            content = await self._get_and_keep(request, digest)
        except RequestFailed as exc:
            for future in self._under_way[digest]:
                future.set_exception(exc)
            raise
        else:
            for future in self._under_way[digest]:
                future.set_result(content)
        finally:
            del self._under_way[digest]
        return content

    async def _get_and_keep(self, request: Request, digest: str) -> bytes:
        content = await self._transport.send(
            request, lambda answer: self._verify(request, answer.body, digest)
        )
        self._cache.put(digest, content)
        return content

    async def _get_page(self, repository: str, path: str) -> tuple[list[str], str, Request]:
        scope = repository_scope(repository)
        request = Request("GET", path, scope, size_bytes_max=_TAG_PAGE_BYTES_MAX, is_list=True)

        def check(answer: Answer) -> tuple[list[str], str, Request]:
            try:
                tags = _decode_tags(answer.body).tags or []
            except (msgspec.DecodeError, UnicodeDecodeError) as exc:
                raise self._transport.failure(
                    request, "malformed", "its list of tags is no JSON list", temporary=True
                ) from exc
            return tags, _next_page(path, answer), request

        return await self._transport.send(request, check)

    def _verify_tag(self, request: Request, answer: Answer) -> Manifest:
        said = answer.headers.get("Docker-Content-Digest", "")
        media_type = _media_type_of(answer)
        if is_digest(said):
            return Manifest(said, media_type, self._verify(request, answer.body, said))
        # Without a digest to compare with, the best that can be asked is that it is whole.
        try:
            orjson.loads(answer.body)
        except orjson.JSONDecodeError as exc:
            raise self._transport.failure(
                request, "malformed", "its manifest is no JSON", temporary=True
            ) from exc
        return Manifest(digest_of(answer.body), media_type, answer.body)

    def _verify(self, request: Request, content: bytes, digest: str) -> bytes:
        """Return the bytes that the digest is of; schema 1 counts its signatures out."""
        found = digest_of(content, digest)
        if found == digest:
            return content
        payload = signed_payload(content)
        if digest_of(payload, digest) == digest:
            return payload
        raise self._transport.failure(
            request, "digest_mismatch", f"got {found} instead of {digest}", temporary=True
        )


def signed_payload(content: bytes) -> bytes:
    """The bytes that the digest of a signed schema 1 manifest is of; other content unchanged.

    Its signatures say how much of the text they cover (`formatLength`) and how it ended.
    """
    if b'"signatures"' not in content:
        return content
    try:
        protected = orjson.loads(_decode(orjson.loads(content)["signatures"][0]["protected"]))
        return content[: int(protected["formatLength"])] + _decode(protected["formatTail"])
    except (ValueError, KeyError, IndexError, TypeError):
        return content


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _manifest_request(method: str, repository: str, reference: str) -> Request:
    return Request(
        method,
        f"/v2/{repository}/manifests/{reference}",
        repository_scope(repository),
        accept=_ACCEPT_MANIFEST,
        counted=method == "GET",
        size_bytes_max=_MANIFEST_BYTES_MAX,
    )


def _media_type_of(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()


def _next_page(path: str, answer: Answer) -> str:
    """The path of the next page by the Link header, or an empty text.

    Only path and query count: registries behind proxies name hosts that cannot be reached.
    """
    headers = answer.headers.getall("Link", ())
    if not headers:
        return ""
    # It takes longer to load than what has no second page takes in all.
    from requests.utils import parse_header_links

    for header in headers:
        for link in parse_header_links(header):
            relation = next((value for name, value in link.items() if name.lower() == "rel"), "")
            if link["url"] and _has_next(relation):
                parts = urlsplit(urljoin(path, link["url"]))
                return f"{parts.path}?{parts.query}"
    return ""


def _page_after(repository: str, tags: list[str]) -> str:
    """The next page where no Link is sent: a full page may not be the last."""
    if len(tags) != _PAGE_SIZE:
        return ""
    return f"/v2/{repository}/tags/list?{urlencode({'n': _PAGE_SIZE, 'last': tags[-1]})}"
