"""Image references, by the grammar that Docker publishes.

Grammar and normalisation: github.com/distribution/reference v0.6 (`reference.go`, `regexp.go`,
`normalize.go`); digests: OCI image specification 1.1, "Registered Algorithms".

    reference := [domain "/"] path [":" tag] ["@" digest]

One name that the original lets through without any registry is refused here, because no registry
could be asked for it: a first component with a dot or colon that is no host (`foo_bar.com/x`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pullstudy.errors import InvalidReference

DOCKER_HUB = "docker.io"
_LEGACY_DOCKER_HUB = "index.docker.io"
_OFFICIAL_PREFIX = "library/"
_LOCALHOST = "localhost"
# RepositoryNameTotalLengthMax: the path without the domain.
_PATH_LENGTH_MAX = 255

_DOMAIN_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_match_domain = re.compile(
    rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
).fullmatch
_match_path = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*").fullmatch
_match_remainder = re.compile(
    rf"({_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*)(?::({_TAG}))?(?:@({_DIGEST}))?"
).fullmatch
_match_tag = re.compile(_TAG).fullmatch
_match_identifier = re.compile(r"[a-f0-9]{64}").fullmatch
_match_registered_digest = re.compile(
    r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}"
).fullmatch


@dataclass(frozen=True)
class Reference:
    """One image name in canonical form; `tag` and `digest` are None when they are not written."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """Return the canonical form: `docker.io/library/ubuntu:22.04`."""
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Read an image name as the Docker command line does; no default tag is added.

    Raises InvalidReference with the reason in one line.
    """
    if _match_identifier(text):
        raise _refusal(text, "64 hexadecimal digits are an image ID, not a name")
    registry, remainder = _split_domain(text)
    match = _match_remainder(remainder)
    if match is None:
        raise _refusal(text, _why_not(remainder))
    if registry != DOCKER_HUB and not _match_domain(registry):
        raise _refusal(text, f"{registry[:80]!r} is no registry host")
    path, tag, digest = match.groups()
    if len(path) > _PATH_LENGTH_MAX:
        raise _refusal(text, f"the repository is longer than {_PATH_LENGTH_MAX} characters")
    if digest is not None and not _match_registered_digest(digest):
        raise _refusal(text, "the digest is no sha256, sha384 or sha512 in lower-case hexadecimal")
    return Reference(registry, path, tag, digest)


def is_digest(text: str) -> bool:
    """Whether the text is a digest of a registered algorithm, in full length."""
    return _match_registered_digest(text) is not None


def is_tag(text: str) -> bool:
    """Whether the text is a valid tag."""
    return _match_tag(text) is not None


def is_repository(text: str) -> bool:
    """Whether the text is a valid path of a repository in a registry."""
    return len(text) <= _PATH_LENGTH_MAX and _match_path(text) is not None


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return DOCKER_HUB, _OFFICIAL_PREFIX + text
    if first in (DOCKER_HUB, _LEGACY_DOCKER_HUB):
        return DOCKER_HUB, rest if "/" in rest else _OFFICIAL_PREFIX + rest
    if first == _LOCALHOST or "." in first or ":" in first or first.lower() != first:
        return first, rest
    return DOCKER_HUB, text


def _why_not(remainder: str) -> str:
    """Say which part of a remainder breaks the grammar; called only when one does."""
    name, _, digest = remainder.partition("@")
    path, colon, tag = name.partition(":")
    if path in ("", _OFFICIAL_PREFIX):
        return "it has no repository"
    if path.lower() != path:
        return "the repository must be lower case"
    if not _match_path(path):
        return "the repository is not made of a-z, 0-9 and single separators"
    if colon and not _match_tag(tag):
        return "the tag is not made of 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-'"
    return f"{digest[:80]!r} is no digest"


def _refusal(text: str, reason: str) -> InvalidReference:
    shown = text if len(text) <= 120 else f"{text[:117]}..."
    return InvalidReference(f"{shown!r}: not an image reference: {reason}")
