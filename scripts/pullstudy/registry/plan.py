"""What a harvest is asked for: repositories, registries and how to treat them, and its progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pullstudy.errors import ConfigError, InvalidReference
from pullstudy.naming import DOCKER_HUB, parse_reference
from pullstudy.registry.limits import Limiter, Limits
from pullstudy.registry.platforms import Platform
from pullstudy.registry.transport import TransportSettings

# Docker Hub's registry has another host than its name.
_HUB_ENDPOINT = "https://registry-1.docker.io"


@dataclass(frozen=True)
class HarvestSettings:
    """What is harvested, and how.

    platforms: taken from every index. tags_max: per repository; None takes all. plain_http: ask
    every registry without encryption. endpoints: base URL (`http://127.0.0.1:5000`) of a mirror
    by registry; the name `*` is for all others. limits: by registry; `*` for all others.
    """

    platforms: tuple[Platform, ...] = (Platform("linux", "amd64"),)
    tags_max: int | None = None
    plain_http: bool = False
    endpoints: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Limits] = field(default_factory=dict)
    attempts: int = 6
    first_backoff_seconds: float = 0.5
    timeout_seconds: float = 60.0
    # Docker Hub's quota is one of six hours.
    patience_seconds: float = 7 * 3600.0

    def limits_of(self, registry: str) -> Limits:
        """The limits of a registry; Docker Hub counts GETs of manifests."""
        if registry in self.limits:
            return self.limits[registry]
        general = self.limits.get("*", Limits())
        if registry == DOCKER_HUB:
            return Limits(general.concurrency, general.requests_per_second, True)
        return general

    def endpoint_of(self, registry: str) -> str | None:
        """The mirror that is asked instead of a registry."""
        return self.endpoints.get(registry) or self.endpoints.get("*")

    def transport_of(self, registry: str) -> TransportSettings:
        """How a registry is reached."""
        scheme = "http" if self.plain_http else "https"
        usual = _HUB_ENDPOINT if registry == DOCKER_HUB else f"{scheme}://{registry}"
        return TransportSettings(
            self.endpoint_of(registry) or usual,
            self.limits_of(registry),
            self.attempts,
            self.first_backoff_seconds,
            self.timeout_seconds,
            self.patience_seconds,
        )


@dataclass(frozen=True)
class Target:
    """One repository to harvest: its name as written, where it is, and the tags (None: all)."""

    name: str
    registry: str
    repository: str
    tags: tuple[str, ...] | None = None

    @property
    def canonical(self) -> str:
        """The one name that all spellings share."""
        return f"{self.registry}/{self.repository}"


@dataclass
class Progress:
    """What a display shows; counted over all registries."""

    repositories: int = 0
    repositories_done: int = 0
    tags: int = 0
    tags_done: int = 0
    tags_found_done: int = 0
    failures: int = 0
    limiters: dict[str, Limiter] = field(default_factory=dict)

    def waits(self) -> dict[str, float]:
        """Seconds that registries still want to be left alone, longest first."""
        pauses = {name: limiter.pause_seconds for name, limiter in self.limiters.items()}
        return dict(sorted(((n, s) for n, s in pauses.items() if s > 0), key=lambda p: -p[1]))


def plan_targets(names: Iterable[str]) -> tuple[list[Target], list[str]]:
    """Find the repositories of names, each once, and the names that are no reference.

    A name may have a tag (or a digest): then only that is harvested, unless the repository is
    named without one as well. Of several spellings the first in the alphabet stands. Both lists
    are sorted.
    """
    found: dict[str, Target] = {}
    refused = []
    for name in sorted(set(names)):
        try:
            reference = parse_reference(name)
        except InvalidReference:
            refused.append(name)
            continue
        only = reference.digest or reference.tag
        written = name.partition("@")[0].removesuffix(f":{reference.tag}") if only else name
        tags = (only,) if only else None
        target = Target(written, reference.registry, reference.repository, tags)
        found[target.canonical] = _merge(found.get(target.canonical), target)
    return [found[canonical] for canonical in sorted(found)], refused


def _merge(known: Target | None, target: Target) -> Target:
    if known is None:
        return target
    tags = None
    if known.tags is not None and target.tags is not None:
        tags = tuple(sorted({*known.tags, *target.tags}))
    name = min(known.name, target.name)
    return Target(name, known.registry, known.repository, tags)


def check_endpoint(base_url: str) -> str:
    """Return the address of a registry. Raises ConfigError when it is none."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ConfigError(f"{base_url!r}: no registry; write it like http://127.0.0.1:5000")
    return base_url.rstrip("/")
