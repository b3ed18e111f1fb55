"""Authorisation of the distribution protocol, independent of any HTTP library.

A registry answers 401 with challenges; `Authenticator` turns them into the header of the next
request, or into a `TokenRequest` that the caller sends and whose answer it hands back. One
authenticator serves one registry and is the only holder of its credentials: they leave it only
inside a header or a token request, and never in a text.

Sources: RFC 9110 section 11 (challenges), RFC 7617 (basic), distribution "Token Authentication
Specification" (scope, service, expires_in >= 60), "OAuth2 Token Authentication" (refresh tokens).
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import orjson

from pullstudy.errors import RegistryError

# The specification: a token that names no lifetime is good for 60 seconds.
_DEFAULT_LIFETIME_SECONDS = 60.0
# A token is renewed when this share of its life is over, so that none expires on its way.
_USABLE_SHARE = 0.8
_CLIENT_ID = "pullstudy"

PULL = ("pull",)
PULL_AND_PUSH = ("pull", "push")


class AuthenticationFailed(RegistryError):
    """The registry wants credentials that are missing, or refuses those that are there."""


@dataclass(frozen=True)
class Credentials:
    """What `docker login` kept for one registry; nothing of it is ever shown."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The header value of basic authorisation, or an empty text."""
        if not self.password:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


@dataclass(frozen=True)
class Challenge:
    """One way a registry offers to authorise; the scheme is in lower case."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class TokenRequest:
    """The request that fetches a token: GET, or POST where there is a form."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass
class _Token:
    header: str = field(repr=False)
    good_until: float


_PARAMETER = (
    r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))"""
)
_match_parameter = re.compile(rf"{_PARAMETER}[ \t]*(?:,|$)").match
_match_scheme = re.compile(r"[ \t,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=[ \t]+|[ \t]*(?:,|$))").match
_unescape = re.compile(r"\\(.)").sub


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read the values of WWW-Authenticate headers; what is no challenge is skipped."""
    challenges = []
    for header in headers:
        at = 0
        while scheme := _match_scheme(header, at):
            parameters: dict[str, str] = {}
            at = scheme.end()
            while parameter := _match_parameter(header, at):
                name, quoted, plain = parameter.groups()
                value = plain if quoted is None else _unescape(r"\1", quoted)
                parameters.setdefault(name.lower(), value)
                at = parameter.end()
            challenges.append(Challenge(scheme[1].lower(), parameters))
    return challenges


class Authenticator:
    """The authorisation of one registry: its credentials, its tokens, and how to renew them."""

    def __init__(
        self,
        registry: str,
        credentials: Credentials | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = registry
        self._credentials = credentials or Credentials()
        self._clock = clock
        self._basic_wanted = False
        self._bearer: Challenge | None = None
        self._tokens: dict[str, _Token] = {}
        # What the registry calls the scope, where it uses another name for it.
        self._scopes: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Authenticator({self.registry!r})"

    def header(self, scope: str) -> str | None:
        """The Authorization header to send now; None when there is none (any more)."""
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        if self._basic_wanted:
            return self._credentials.basic
        token = self._tokens.get(scope)
        if token is None:
            return None
        if token.good_until <= self._clock():
            del self._tokens[scope]
            return None
        return token.header

    def renewal(self, scope: str) -> TokenRequest | None:
        """The token request to send first, once the registry has said where its tokens are."""
        if self._bearer is None or self.header(scope) is not None:
            return None
        return self._token_request(self._bearer, scope)

    def challenged(
        self, challenges: list[Challenge], scope: str, base_url: str, refused: str | None
    ) -> TokenRequest | None:
        """Take the challenges of a 401 of this registry, asked under `base_url`.

        refused: the header that was sent. Returns the token request to send, or None when `header`
        now gives another header. Raises AuthenticationFailed when nothing can answer them.
        """
        token = self._tokens.get(scope)
        if token is not None and token.header == refused:
            del self._tokens[scope]
        schemes = {challenge.scheme: challenge for challenge in reversed(challenges)}
        if bearer := schemes.get("bearer"):
            self._check_realm(bearer.parameters.get("realm", ""), base_url)
            self._bearer = bearer
            self._scopes[scope] = bearer.parameters.get("scope") or scope
            # Of requests that were refused together, one fetches the token for all.
            if self.header(scope) not in (None, refused):
                return None
            if not self._credentials.registry_token:
                return self._token_request(bearer, scope)
        elif "basic" in schemes and self._credentials.basic not in ("", refused):
            self._basic_wanted = True
            return None
        raise self.failure()

    def accept(self, scope: str, body: bytes) -> None:
        """Keep the token of a successful token answer.

        Raises RegistryError when the answer holds none.
        """
        try:
            answer = orjson.loads(body)
            token = answer.get("token") or answer.get("access_token")
            lifetime = float(answer.get("expires_in") or _DEFAULT_LIFETIME_SECONDS)
        except (ValueError, TypeError, AttributeError):
            # Not chained: the answer may hold a token.
            raise RegistryError(f"{self.registry}: the token server's answer is no JSON") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(f"{self.registry}: the token server's answer holds no token")
        now = self._clock()
        live = {name: kept for name, kept in self._tokens.items() if kept.good_until > now}
        good_until = now + max(lifetime, 1.0) * _USABLE_SHARE
        self._tokens = live | {scope: _Token(f"Bearer {token}", good_until)}

    def failure(self) -> AuthenticationFailed:
        """The error for a registry that refuses all that is there."""
        known = self._credentials != Credentials()
        what = (
            "the credentials were refused, or do not reach so far"
            if known
            else "there is no such repository, or it wants credentials"
        )
        return AuthenticationFailed(f"{self.registry}: {what}; run `docker login {self.registry}`")

    def redact(self, text: str) -> str:
        """Take everything secret out of a text that a server wrote."""
        ours = self._credentials
        headers = [ours.basic, *(token.header for token in self._tokens.values())]
        secrets = {ours.password, ours.identity_token, ours.registry_token}
        secrets |= {header.partition(" ")[2] for header in headers}
        for secret in sorted(secrets - {""}, key=len, reverse=True):
            text = text.replace(secret, "…")
        return text

    def _check_realm(self, realm: str, base_url: str) -> None:
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AuthenticationFailed(f"{self.registry}: its challenge names no token server")
        if parts.scheme == "http" and base_url.startswith("https:"):
            raise AuthenticationFailed(
                f"{self.registry}: its token server {parts.hostname} has no encryption; "
                "nothing was sent there"
            )

    def _token_request(self, bearer: Challenge, scope: str) -> TokenRequest:
        realm, service = bearer.parameters["realm"], bearer.parameters.get("service", "")
        scope = self._scopes.get(scope, scope)
        if self._credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT_ID,
                "scope": scope,
                "refresh_token": self._credentials.identity_token,
            }
            return TokenRequest(realm, form=form)
        query = {"service": service, "scope": scope} if service else {"scope": scope}
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        basic = self._credentials.basic
        return TokenRequest(url, {"Authorization": basic} if basic else {})


def repository_scope(repository: str, actions: tuple[str, ...] = PULL) -> str:
    """The scope of a token for one repository: `repository:library/ubuntu:pull`."""
    return f"repository:{repository}:{','.join(actions)}"
