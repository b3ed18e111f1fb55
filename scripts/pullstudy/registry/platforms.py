"""Platforms, and the manifest that an index holds for one.

Source: OCI image specification 1.1, "Image Index" (platform, variants of ARM as in its table).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pullstudy.errors import ConfigError
from pullstudy.registry.documents import Manifest

# What an index leaves out where there is only one usual variant.
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}


class PlatformEntry(msgspec.Struct, gc=False):
    """The platform of an entry of an index."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None


class IndexEntry(msgspec.Struct, gc=False, rename="camel"):
    """One manifest that an index names."""

    digest: str
    media_type: str | None = None
    platform: PlatformEntry | None = None


@dataclass(frozen=True)
class Platform:
    """What a container is to run on; an empty variant fits every one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def fits(self, entry: IndexEntry) -> bool:
        """Whether an entry of an index is for this platform."""
        offered = entry.platform
        if offered is None or (offered.os, offered.architecture) != (self.os, self.architecture):
            return False
        usual = _USUAL_VARIANTS.get(self.architecture, "")
        return not self.variant or (offered.variant or usual) == self.variant


_decode_entries = msgspec.json.Decoder(list[IndexEntry]).decode


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`. Raises ConfigError."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(part.isalnum() for part in parts):
        raise ConfigError(f"{text!r}: no platform; write it like linux/amd64 or linux/arm64/v8")
    return Platform(*parts)


def read_entries(index: Manifest) -> list[IndexEntry]:
    """Return the entries of an index; entries that do not fit the form make it empty."""
    try:
        return _decode_entries(index.manifests)
    except msgspec.DecodeError:
        return []


def choose_entry(entries: list[IndexEntry], platform: Platform) -> IndexEntry | None:
    """Return the first entry for a platform, as container runtimes do."""
    return next((entry for entry in entries if platform.fits(entry)), None)


def describe_entries(entries: list[IndexEntry]) -> str:
    """Name the platforms of an index for a message."""
    offered = {
        str(Platform(p.os or "?", p.architecture or "?", p.variant or ""))
        for p in (entry.platform for entry in entries)
        if p is not None
    }
    return ", ".join(sorted(offered)) or "no platform"
