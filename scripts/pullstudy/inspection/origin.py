"""Which base an image is built on, by what its manifest and config say, and how old it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pullstudy.inspection.documents import ImageConfig, ImageManifest
from pullstudy.inspection.layers import InspectedLayer
from pullstudy.inspection.sharing import Share

# OCI image specification 1.1, annotations.md.
_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
# What official images say of themselves; images built on them inherit it.
_REF_NAME, _VERSION = "org.opencontainers.image.ref.name", "org.opencontainers.image.version"
# Docker was first shown in March 2013: earlier dates are stamps of reproducible builds.
_FIRST_YEAR = 2013
_find_distribution = re.compile(
    r"(alpine|debian|ubuntu|fedora|centos|rocky|almalinux|opensuse|busybox|amazonlinux|oraclelinux)"
    r"[^\d\s/]*(\d+(?:\.\d+)*)?",
    re.IGNORECASE,
).search


@dataclass(frozen=True)
class Base:
    """The base image as far as it is known, and how."""

    name: str
    known_by: str


def find_base(
    manifest: ImageManifest,
    config: ImageConfig,
    layers: Iterable[InspectedLayer],
    shares: Iterable[Share],
) -> Base | None:
    """Find the base: declared, seen among the compared images, or guessed; None when unknown."""
    labels = (config.config and config.config.labels) or {}
    for where, source in (("annotation", manifest.annotations or {}), ("label", labels)):
        if name := source.get(_BASE_NAME):
            digest = source.get(_BASE_DIGEST)
            return Base(f"{name}@{digest}" if digest and "@" not in name else name, where)
    bases = [share for share in shares if share.is_base]
    if bases:
        return Base(max(bases, key=lambda share: share.layers).with_name, "its layers")
    return _guess(labels, layers)


def _guess(labels: Mapping[str, str], layers: Iterable[InspectedLayer]) -> Base | None:
    if name := labels.get(_REF_NAME):
        version = labels.get(_VERSION)
        return Base(f"{name}:{version}" if version else name, "inherited label")
    first = next(iter(layers), None)
    if first and first.command and (match := _find_distribution(first.command)):
        version = f":{match[2]}" if match[2] else ""
        return Base(f"{match[1].lower()}{version}", "its first command")
    return None


def find_age_days(config: ImageConfig, now: datetime) -> float | None:
    """Days since the image was created; None where it is not known or a stamp."""
    created = parse_time(config.created)
    if created is None or created.year < _FIRST_YEAR:
        return None
    return (now - created).total_seconds() / 86_400


def parse_time(text: str | None) -> datetime | None:
    """Read a time of RFC 3339, with any number of decimals; None when it is none."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text or ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
