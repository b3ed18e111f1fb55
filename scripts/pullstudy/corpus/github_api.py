"""Lists of GitHub's REST API: page by page, within its limits.

Rules (docs.github.com/en/rest: "Rate limits for the REST API", "Best practices for using the REST
API"): one request at a time; after 403 or 429 wait for `Retry-After`, else until
`X-RateLimit-Reset` when nothing remains, else a minute and then ever longer; for those who send a
token an answer 304 to a conditional request costs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from requests.auth import AuthBase

from pullstudy.errors import ConfigError, CorpusError
from pullstudy.files import replace_atomically

API_VERSION = "2022-11-28"
_TIMEOUT_SECONDS = (10, 60)
_ATTEMPTS = 8
_REDIRECTS_MAX = 5
# GitHub asks for a minute at least where it names no time.
_SECONDARY_SECONDS = 60
# The quota is filled up every hour; whoever asks for much longer has another reason.
_PAUSE_SECONDS_MAX = 2 * 3600
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_LIMITED = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_REFUSED = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.GONE,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
)

# Waits for some seconds and says why.
Pause = Callable[[float, str], None]


class ListedRepository(msgspec.Struct, frozen=True):
    """What is used of GitHub's description of a repository."""

    full_name: str
    clone_url: str
    fork: bool = False
    private: bool = False


class Page(msgspec.Struct, frozen=True):
    """One page of a list, as it is kept for the next conditional request."""

    url: str
    etag: str | None
    following: str | None
    repositories: list[ListedRepository]


class Refusal(CorpusError):
    """GitHub does not show a list; the HTTP status says why."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url}: {status} {HTTPStatus(status).phrase}")
        self.status = status


class TokenAuth(AuthBase):
    """Sends the token to one host and to no other, and never what ~/.netrc says."""

    def __init__(self, token: str | None, origin: tuple[str, str | None, int | None]) -> None:
        self._token = token
        self._origin = origin

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request to its host."""
        if self._token is not None and origin_of(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class GithubApi:
    """GitHub's REST API at `base_url`; pages are kept in the folder `cache`.

    Raises ConfigError when a token would be sent without encryption.
    """

    def __init__(self, base_url: str, token: str | None, cache: Path, pause: Pause) -> None:
        self._base_url = base_url.rstrip("/")
        self._origin = origin_of(base_url)
        scheme, host, _ = self._origin
        if token is not None and scheme != "https" and host not in _LOOPBACK:
            raise ConfigError(f"{base_url}: GITHUB_TOKEN is sent over https only; use https://…")
        self._has_token = token is not None
        self._cache = cache
        self._pause = pause
        self._ready_at = 0.0
        self._session = requests.Session()
        self._session.auth = TokenAuth(token, self._origin)
        self._session.headers["Accept"] = "application/vnd.github+json"
        self._session.headers["User-Agent"] = "pullstudy"
        self._session.headers["X-GitHub-Api-Version"] = API_VERSION

    def list_repositories(self, path: str) -> list[ListedRepository]:
        """Read all pages of the list at `path`, which starts with a slash.

        Raises Refusal when GitHub does not show it, CorpusError when it cannot be asked.
        """
        repositories: list[ListedRepository] = []
        following: str | None = f"{self._base_url}{path}"
        seen = set()
        while following is not None:
            if following in seen:
                raise CorpusError(f"{following}: the pages of this list go in circles; stopped")
            seen.add(following)
            page = self._read_page(following)
            repositories += page.repositories
            following = page.following
        return repositories

    def _read_page(self, url: str) -> Page:
        kept = self._read_kept(url)
        headers = {"If-None-Match": kept.etag} if kept and kept.etag else {}
        response = self._get(url, headers)
        if kept and response.status_code == HTTPStatus.NOT_MODIFIED:
            return kept
        page = _parse_page(url, response)
        with replace_atomically(self._path_of(url)) as partial:
            partial.write_bytes(msgspec.json.encode(page))
        return page

    def _read_kept(self, url: str) -> Page | None:
        try:
            return msgspec.json.decode(self._path_of(url).read_bytes(), type=Page)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _path_of(self, url: str) -> Path:
        return self._cache / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        """Ask until there is an answer that stands, pausing as GitHub wants it."""
        reason = ""
        for attempt in range(_ATTEMPTS):
            self._wait_until_ready()
            try:
                response = self._send(url, headers)
            except (requests.ConnectionError, requests.Timeout) as exc:
                seconds, reason = 2.0**attempt, f"no answer ({type(exc).__name__})"
            else:
                limit = find_pause(response, attempt)
                if limit is None:
                    return self._accept(url, response)
                seconds, reason = limit
            self._hold(seconds, reason)
        raise CorpusError(f"{url}: {reason}, {_ATTEMPTS} times; run again to go on")

    def _send(self, url: str, headers: dict[str, str]) -> requests.Response:
        for _ in range(_REDIRECTS_MAX):
            if origin_of(url) != self._origin:
                raise CorpusError(f"{url}: GitHub's API points to another host; not followed")
            response = self._session.get(
                url, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )
            if not response.is_redirect:
                return response
            url = urljoin(url, response.headers["Location"])
        raise CorpusError(f"{url}: more than {_REDIRECTS_MAX} redirects; stopped")

    def _accept(self, url: str, response: requests.Response) -> requests.Response:
        if response.headers.get("X-RateLimit-Remaining") == "0":
            self._ready_at = time.monotonic() + _seconds_to_reset(response)
        status = response.status_code
        if status in _REFUSED:
            raise Refusal(url, status)
        if status == HTTPStatus.UNAUTHORIZED:
            advice = "GITHUB_TOKEN is not accepted" if self._has_token else "set GITHUB_TOKEN"
            raise CorpusError(f"{url}: 401 unauthorized; {advice}")
        if status not in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            raise CorpusError(f"{url}: HTTP status {status} is no answer of GitHub; see github_api")
        return response

    def _wait_until_ready(self) -> None:
        seconds = self._ready_at - time.monotonic()
        if seconds > 0:
            self._hold(seconds, "the quota is used up")
        self._ready_at = 0.0

    def _hold(self, seconds: float, reason: str) -> None:
        if seconds > _PAUSE_SECONDS_MAX:
            hours = seconds / 3600
            raise CorpusError(
                f"{self._base_url}: {reason} for {hours:.1f} h; run again then to go on"
            )
        self._pause(seconds, f"github: {reason}")


def find_pause(response: requests.Response, attempt: int) -> tuple[float, str] | None:
    """Find for how many seconds to pause before the next attempt, and why; None: no need.

    attempt: how many there were before.
    """
    status = response.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return _retry_after(response) or 2.0**attempt, f"HTTP status {status}"
    if status not in _LIMITED:
        return None
    asked = _retry_after(response)
    if asked is not None:
        return asked, "it asks for a pause"
    if response.headers.get("X-RateLimit-Remaining") == "0":
        return _seconds_to_reset(response), "the quota is used up"
    if status == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in response.text.lower():
        return _SECONDARY_SECONDS * 2.0**attempt, "it asks to slow down"
    return None


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of an address, which say together where credentials may go."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _parse_page(url: str, response: requests.Response) -> Page:
    try:
        repositories = msgspec.json.decode(response.content, type=list[ListedRepository])
    except msgspec.DecodeError as exc:
        raise CorpusError(
            f"{url}: no list of repositories ({exc}); check corpus.github_api"
        ) from exc
    following = response.links.get("next", {}).get("url")
    return Page(
        url, response.headers.get("ETag"), following and urljoin(url, following), repositories
    )


def _retry_after(response: requests.Response) -> float | None:
    """Read `Retry-After`: seconds, or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return max(1.0, float(text))
    with contextlib.suppress(ValueError):
        return max(1.0, (_parse_date(text) - _date_of(response)).total_seconds())
    return None


def _seconds_to_reset(response: requests.Response) -> float:
    """Seconds until the quota is filled up, by the server's own clock; at least one."""
    text = response.headers.get("X-RateLimit-Reset", "")
    if not text.isdecimal():
        return _SECONDARY_SECONDS
    # One more: the clock of the header counts whole seconds.
    return max(1.0, int(text) - _date_of(response).timestamp() + 1)


def _date_of(response: requests.Response) -> datetime:
    with contextlib.suppress(ValueError):
        return _parse_date(response.headers.get("Date", ""))
    return datetime.now(UTC)


def _parse_date(text: str) -> datetime:
    """Read a date of HTTP, which is UTC also where it says no zone. Raises ValueError."""
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=UTC)
