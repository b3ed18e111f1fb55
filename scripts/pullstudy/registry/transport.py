"""One registry over HTTP: requests that are authorised, limited, retried and told apart.

A request ends with what its `check` makes of the answer, or with `RequestFailed`, which knows
whether asking again later can help. Credentials go to the registry's own origin only: redirects
are followed by hand, and a challenge of another host is never answered.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson
from yarl import URL

from pullstudy.errors import RegistryError
from pullstudy.registry.auth import (
    AuthenticationFailed,
    Authenticator,
    TokenRequest,
    parse_challenges,
)
from pullstudy.registry.limits import Limiter, Limits
from pullstudy.registry.messages import Answer, Request

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX = 5
_LONGEST_BACKOFF_SECONDS = 30.0
_LIST_FACTOR = 10
_TOKEN_ANSWER_BYTES_MAX = 1 << 20
_ERROR_ANSWER_BYTES_MAX = 1 << 16
_DETAIL_LENGTH_MAX = 300
# Requests that failed in all their attempts, one after the other, before a registry is given up.
_FAILURES_IN_A_ROW_MAX = 20
_REASONS = {
    400: "refused",
    401: "unauthorized",
    403: "denied",
    404: "not_found",
    429: "too_many_requests",
    451: "denied",
}
_MENDABLE = frozenset({"unauthorized", "denied", "tls"})

Result = TypeVar("Result")


class RequestFailed(RegistryError):
    """A request that gave no usable answer.

    reason: short name of the cause. status: the HTTP status, if there was one. temporary: the same
    request may succeed in a moment.
    """

    def __init__(
        self,
        where: str,
        reason: str,
        detail: str,
        *,
        status: int | None = None,
        temporary: bool = False,
    ) -> None:
        advice = "; run again to go on" if temporary else ""
        number = "" if status is None else f"{status} "
        super().__init__(f"{where}: {number}{detail}{advice}")
        self.where = where
        self.reason = reason
        self.detail = detail
        self.status = status
        self.temporary = temporary

    @property
    def is_mendable(self) -> bool:
        """Whether a later run may succeed: temporary, or a matter of credentials."""
        return self.temporary or self.reason in _MENDABLE


@dataclass(frozen=True)
class TransportSettings:
    """How one registry is reached.

    base_url: scheme and host that answer for it. attempts: tries before a temporary failure
    becomes a lasting one. timeout_seconds: how long an answer may take, with all of its body;
    lists may take ten times as long.
    patience_seconds: how long a registry may refuse everything for the rate (429) at most.
    """

    base_url: str
    limits: Limits = field(default_factory=Limits)
    attempts: int = 6
    first_backoff_seconds: float = 0.5
    timeout_seconds: float = 60.0
    patience_seconds: float = 7 * 3600.0


def open_session() -> aiohttp.ClientSession:
    """Open the one HTTP session of a harvest; the limiters bound its connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "pullstudy", "Accept-Encoding": "identity"},
        # Bodies are checked against digests as they came.
        auto_decompress=False,
    )


class Transport:
    """The way to one registry."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        registry: str,
        settings: TransportSettings,
        authenticator: Authenticator,
    ) -> None:
        self.registry = registry
        self.settings = settings
        self.limiter = Limiter(settings.limits)
        self._failures_in_a_row = 0
        self._session = session
        self._auth = authenticator
        self._base = settings.base_url.rstrip("/")
        self._origin = _origin_of(self._base)
        self._own_proxy = _find_proxy(self._base)
        # One timer for a whole request: a body that trickles is given up as well.
        seconds = settings.timeout_seconds
        self._timeouts = {
            "answer": aiohttp.ClientTimeout(total=seconds),
            "list": aiohttp.ClientTimeout(total=seconds * _LIST_FACTOR),
            # A body of any length comes piece by piece.
            "body": aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds),
        }
        self._renewals: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._jitter = random.Random(registry)

    @property
    def is_lost(self) -> bool:
        """Whether the registry has stopped answering, so that asking on is in vain for now."""
        return self._failures_in_a_row >= _FAILURES_IN_A_ROW_MAX

    async def send(self, request: Request, check: Callable[[Answer], Result]) -> Result:
        """Send a request until `check` is content with the answer, and return its result.

        `check` sees successful answers only and raises what `failure` makes of a bad one. Raises
        RequestFailed when the failure is lasting, or every attempt failed.
        """
        attempts = 0
        while True:
            try:
                result = check(await self._attempt(request))
            except RequestFailed as exc:
                if exc.status == 429 and self._is_patient:
                    continue  # the limiter waits as long as the registry asks
                attempts += 1
                if not exc.temporary or attempts >= self.settings.attempts:
                    self._failures_in_a_row += exc.temporary
                    raise
                await asyncio.sleep(self._backoff(attempts))
            else:
                self._failures_in_a_row = 0
                return result

    @property
    def _is_patient(self) -> bool:
        patience = min(self.settings.patience_seconds, self.limiter.patience_seconds)
        return self.limiter.fruitless_seconds < patience

    def failure(
        self,
        request: Request,
        reason: str,
        detail: str,
        *,
        status: int | None = None,
        temporary: bool = False,
    ) -> RequestFailed:
        """Make the error of a request; nothing secret is left in it."""
        where = f"{self.registry}{request.path.partition('?')[0]}"
        shown = " ".join(self._auth.redact(detail).split())[:_DETAIL_LENGTH_MAX]
        return RequestFailed(where, reason, shown, status=status, temporary=temporary)

    async def _attempt(self, request: Request) -> Answer:
        await self.limiter.enter(request.counted)
        try:
            answer = await self._translate(request)
            self.limiter.observe(answer.status, answer.headers)
        finally:
            self.limiter.leave()
        if answer.status >= 300:
            raise self._refusal(request, answer)
        return answer

    async def _translate(self, request: Request) -> Answer:
        """Send once; every error of the HTTP library becomes a RequestFailed."""
        try:
            return await self._authorised(request)
        except AuthenticationFailed as exc:
            raise self.failure(request, "unauthorized", str(exc), status=401) from exc
        except TimeoutError as exc:
            limits = self._timeouts[request.kind]
            detail = f"no answer within {limits.total or limits.sock_read:g} s"
            raise self.failure(request, "timeout", detail, temporary=True) from exc
        except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch) as exc:
            raise self.failure(request, "tls", _describe_tls_error(exc)) from exc
        except aiohttp.ClientConnectorError as exc:
            detail = f"cannot connect: {exc.os_error.strerror or exc.os_error}"
            raise self.failure(request, "unreachable", detail, temporary=True) from exc
        except (aiohttp.ClientError, OSError) as exc:
            detail = f"the connection was lost: {type(exc).__name__}"
            raise self.failure(request, "connection_lost", detail, temporary=True) from exc
        except ValueError as exc:
            # yarl and the resolver refuse impossible hosts and ports in this way.
            raise self.failure(request, "unreachable", f"no usable address: {exc}") from exc

    async def _authorised(self, request: Request) -> Answer:
        if renewal := self._auth.renewal(request.scope):
            async with self._renewals[request.scope]:
                if self._auth.header(request.scope) is None:
                    await self._fetch_token(request, renewal)
        header = self._auth.header(request.scope)
        answer = await self._follow(request, header)
        # A second challenge may come from an expired token of another request's making.
        for _ in range(2):
            if answer.status != 401 or not answer.is_own:
                return answer
            await self._meet_challenge(request, answer, header)
            header = self._auth.header(request.scope)
            answer = await self._follow(request, header)
        if answer.status == 401 and answer.is_own:
            raise self._auth.failure()
        return answer

    async def _meet_challenge(self, request: Request, answer: Answer, refused: str | None) -> None:
        async with self._renewals[request.scope]:
            challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", ()))
            token_request = self._auth.challenged(challenges, request.scope, self._base, refused)
            if token_request is not None:
                await self._fetch_token(request, token_request)

    async def _fetch_token(self, request: Request, wanted: TokenRequest) -> None:
        async with self._session.request(
            "GET" if wanted.form is None else "POST",
            URL(wanted.url, encoded=True),
            headers=wanted.headers,
            data=wanted.form,
            allow_redirects=False,
            timeout=self._timeouts["answer"],
            proxy=_find_proxy(wanted.url),
        ) as response:
            body = await self._read(request, response, _TOKEN_ANSWER_BYTES_MAX)
        if response.status in (401, 403):
            raise self._auth.failure()
        if response.status != 200:
            self.limiter.observe(response.status, response.headers)
            raise self.failure(
                request,
                _reason_of(response.status),
                f"the token server answered {response.status}",
                status=response.status,
                temporary=_is_temporary(response.status),
            )
        try:
            self._auth.accept(request.scope, body)
        except RegistryError as exc:
            raise self.failure(request, "malformed", str(exc), temporary=True) from exc

    async def _follow(self, request: Request, authorization: str | None) -> Answer:
        url, is_own = f"{self._base}{request.path}", True
        for _ in range(_REDIRECTS_MAX + 1):
            headers = {"Accept": request.accept, **(request.sink.headers() if request.sink else {})}
            if authorization and is_own:
                headers["Authorization"] = authorization
            async with self._session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=self._timeouts[request.kind],
                proxy=self._own_proxy if is_own else _find_proxy(url),
            ) as response:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or not location:
                    good = response.status < 300
                    if good and request.sink:
                        pieces = response.content.iter_any()
                        await request.sink.receive(response.status, response.headers, pieces)
                        return Answer(response.status, response.headers, b"", is_own)
                    limit = request.size_bytes_max if good else _ERROR_ANSWER_BYTES_MAX
                    body = await self._read(request, response, limit)
                    return Answer(response.status, response.headers, body, is_own)
            url = urljoin(url, location)
            is_own = is_own and _origin_of(url) == self._origin
            if urlsplit(url).scheme not in ("http", "https"):
                raise self.failure(request, "redirect", "it redirects to no HTTP address")
        raise self.failure(request, "redirect", f"more than {_REDIRECTS_MAX} redirects")

    async def _read(
        self, request: Request, response: aiohttp.ClientResponse, size_bytes_max: int
    ) -> bytes:
        if request.method == "HEAD":
            return b""
        length = response.content_length
        if length is not None and length <= size_bytes_max:
            return await response.read()
        chunks = bytearray()
        async for chunk in response.content.iter_any():
            chunks += chunk
            if len(chunks) > size_bytes_max:
                response.close()
                if response.status >= 300:
                    return bytes(chunks[:size_bytes_max])
                raise self.failure(request, "too_large", f"longer than {size_bytes_max} bytes")
        return bytes(chunks)

    def _refusal(self, request: Request, answer: Answer) -> RequestFailed:
        phrase = http.client.responses.get(answer.status, "error").lower()
        detail = _error_text(answer.body) or phrase
        # Signed addresses of blob storage expire; the registry gives a new one.
        storage = not answer.is_own and answer.status in (401, 403)
        return self.failure(
            request,
            "storage_refused" if storage else _reason_of(answer.status),
            detail,
            status=answer.status,
            temporary=storage or _is_temporary(answer.status),
        )

    def _backoff(self, attempts: int) -> float:
        longest = min(
            self.settings.first_backoff_seconds * 2.0 ** (attempts - 1), _LONGEST_BACKOFF_SECONDS
        )
        return longest * self._jitter.uniform(0.5, 1.0)


def _find_proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (aiohttp would read .netrc as well)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _describe_tls_error(exc: aiohttp.ClientError) -> str:
    reason = getattr(getattr(exc, "os_error", None), "reason", None)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "it does not speak TLS; ask with --plain-http, or name an http:// mirror"
    return str(exc)


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _reason_of(status: int) -> str:
    return _REASONS.get(status, "server_error" if status >= 500 else "refused")


def _is_temporary(status: int) -> bool:
    """408, 425, 429, and 5xx that do not say that the server will never do it."""
    return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))


def _error_text(body: bytes) -> str:
    """The first error of a distribution error body, as `CODE: message`."""
    try:
        error = orjson.loads(body)["errors"][0]
        return ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
