"""Requests to one registry from ordinary threads: authorised, with errors that know their kind.

The harvest asks with coroutines (`transport`); a push generates what it sends, which is work for
threads. Authorisation and errors are the same.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests

from pullstudy.naming import DOCKER_HUB
from pullstudy.registry.auth import (
    AuthenticationFailed,
    Authenticator,
    Credentials,
    TokenRequest,
    parse_challenges,
)
from pullstudy.registry.transport import RequestFailed

_CONNECT_SECONDS, _ANSWER_SECONDS = 30.0, 120.0
_HUB_HOST = "registry-1.docker.io"
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_DETAIL_LENGTH_MAX = 300


class Body:
    """A request body that is generated while it is sent; it can be sent once."""

    def __init__(self, blocks: Iterator[memoryview], size_bytes: int) -> None:
        self._blocks = blocks
        self._size_bytes = size_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[memoryview]:
        return self._blocks


@dataclass(frozen=True)
class Call:
    """One request; `url` is absolute or a path of the registry."""

    method: str
    url: str
    scope: str
    accepted: Container[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = None
    is_streamed: bool = False


class Session:
    """The way to one registry; may be used by several threads."""

    def __init__(
        self,
        registry: str,
        credentials: Credentials | None,
        *,
        plain_http: bool = False,
        base_url: str | None = None,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """Open the way; base_url: a mirror that is asked instead of the registry itself."""
        self.registry = registry
        self.base_url = base_url or choose_base_url(registry, plain_http=plain_http)
        self._timeouts = (_CONNECT_SECONDS, answer_seconds)
        self._auth = Authenticator(registry, credentials)
        self._auth_lock = threading.Lock()
        self._http = requests.Session()
        self._http.headers.update({"User-Agent": "pullstudy", "Accept-Encoding": "identity"})
        # Without this, credentials of ~/.netrc would be sent.
        self._http.auth = _keep_headers

    def send(self, call: Call) -> requests.Response:
        """Send a request; an answer with a status that is not accepted is a RequestFailed."""
        is_own = urlsplit(self._url(call)).netloc == urlsplit(self.base_url).netloc
        with self.translate(call.url):
            authorization = self._authorize(call.scope) if is_own else None
            response = self._send_once(call, authorization)
            if response.status_code == requests.codes.unauthorized and is_own:
                response = self._answer_challenge(call, response, authorization)
        if response.status_code not in call.accepted:
            raise self._refusal(call, response)
        return response

    @contextlib.contextmanager
    def translate(self, url: str) -> Iterator[None]:
        """Turn the errors of the HTTP library into RequestFailed."""
        try:
            yield
        except AuthenticationFailed as exc:
            raise self._failure(url, "unauthorized", str(exc), status=401) from exc
        except requests.exceptions.SSLError as exc:
            raise self._failure(url, "tls", last_cause(exc)) from exc
        except requests.exceptions.Timeout as exc:
            raise self._failure(url, "stalled", "no answer in time", temporary=True) from exc
        except requests.exceptions.ConnectionError as exc:
            detail = f"the connection failed: {last_cause(exc)}"
            raise self._failure(url, "connection_lost", detail, temporary=True) from exc
        except requests.exceptions.RequestException as exc:
            raise self._failure(url, "unreachable", last_cause(exc), temporary=True) from exc

    def _url(self, call: Call) -> str:
        return urljoin(self.base_url, call.url)

    def _send_once(self, call: Call, authorization: str | None) -> requests.Response:
        headers = dict(call.headers)
        if authorization:
            headers["Authorization"] = authorization
        return self._http.request(
            call.method,
            self._url(call),
            headers=headers,
            data=call.body,  # type: ignore[arg-type]  # any iterable with a length will do
            stream=call.is_streamed,
            timeout=self._timeouts,
            # A body that was sent is gone; what is downloaded may lie elsewhere.
            allow_redirects=call.method in ("GET", "HEAD"),
        )

    def _authorize(self, scope: str) -> str | None:
        with self._auth_lock:
            if renewal := self._auth.renewal(scope):
                self._fetch_token(scope, renewal)
            return self._auth.header(scope)

    def _answer_challenge(
        self, call: Call, response: requests.Response, refused: str | None
    ) -> requests.Response:
        with self._auth_lock:
            challenges = parse_challenges([response.headers.get("WWW-Authenticate", "")])
            request = self._auth.challenged(challenges, call.scope, self.base_url, refused)
            if request is not None:
                self._fetch_token(call.scope, request)
            authorization = self._auth.header(call.scope)
        if isinstance(call.body, Body):
            # Its bytes are gone: the caller asks how far it came and goes on.
            detail = "the token expired"
            raise self._failure(call.url, "unauthorized", detail, status=401, temporary=True)
        response = self._send_once(call, authorization)
        if response.status_code == requests.codes.unauthorized:
            raise self._auth.failure()
        return response

    def _fetch_token(self, scope: str, request: TokenRequest) -> None:
        method = "GET" if request.form is None else "POST"
        response = self._http.request(
            method,
            request.url,
            headers=dict(request.headers),
            data=request.form,
            timeout=self._timeouts,
        )
        if response.status_code in (400, 401, 403):
            raise self._auth.failure()
        if response.status_code != requests.codes.ok:
            detail = f"the token server answered {response.status_code}"
            temporary = is_temporary(response.status_code)
            raise self._failure("", "token", detail, temporary=temporary)
        self._auth.accept(scope, response.content)

    def _refusal(self, call: Call, response: requests.Response) -> RequestFailed:
        status = response.status_code
        detail = _error_text(response.content) or http.client.responses.get(status, "error").lower()
        if status in (401, 403):
            right = "pull" if call.method in ("GET", "HEAD") else "push"
            detail = f"{detail}; run `docker login {self.registry}` with the right to {right}"
        elif status == requests.codes.method_not_allowed:
            detail = f"{detail}; it takes no pushes (read-only, or a cache): choose another one"
        return self._failure(
            call.url, "refused", detail, status=status, temporary=is_temporary(status)
        )

    def _failure(
        self,
        url: str,
        reason: str,
        detail: str,
        *,
        status: int | None = None,
        temporary: bool = False,
    ) -> RequestFailed:
        where = f"{self.registry}{urlsplit(url).path}"
        shown = " ".join(self._auth.redact(detail).split())[:_DETAIL_LENGTH_MAX]
        return RequestFailed(where, reason, shown, status=status, temporary=temporary)


def choose_base_url(registry: str, *, plain_http: bool) -> str:
    """Return scheme and host of a registry: plain HTTP on this machine only, unless asked for."""
    if registry == DOCKER_HUB:
        return f"https://{_HUB_HOST}"
    is_local = urlsplit(f"//{registry}").hostname in _LOOPBACK_HOSTS
    return f"{'http' if plain_http or is_local else 'https'}://{registry}"


def is_temporary(status: int) -> bool:
    """408, 425, 429, and 5xx that do not say that the server will never do it."""
    return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def last_cause(exc: BaseException) -> str:
    """The innermost reason: HTTP libraries wrap theirs several times."""
    while exc.__cause__ or exc.__context__:
        exc = exc.__cause__ or exc.__context__ or exc
    return str(exc) or type(exc).__name__


def _error_text(body: bytes) -> str:
    """The first error of a distribution error body, with its detail: that tells of a full disk."""
    try:
        error: dict[str, Any] = orjson.loads(body)["errors"][0]
        texts = [str(error[key]) for key in ("code", "message") if error.get(key)]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
    if detail := error.get("detail"):
        texts.append(_name_errno(detail) or orjson.dumps(detail).decode())
    return ": ".join(texts)


def _name_errno(detail: Any) -> str:
    """Say which error of its file system Distribution reports; it sends the number alone."""
    try:
        return f"its storage: {os.strerror(int(detail['Enclosed']['Err']))}"
    except (KeyError, TypeError, ValueError):
        return ""
