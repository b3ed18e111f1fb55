"""Platforms, and the manifest that an index holds for one.

Source: OCI image specification 1.1, "Image Index" (platform, variants of ARM as in its table).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pullstudy.errors import ConfigError
from pullstudy.registry.documents import Manifest

# What an index leaves out where there is only one usual variant, and what a runtime runs that was
# told none (containerd/platforms, `Normalize`).
_USUAL_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}


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
    artifact_type: str | None = None

    @property
    def is_unlabelled(self) -> bool:
        """Whether only its config can say for which platform it is."""
        is_said = self.platform is not None and (self.platform.os or self.platform.architecture)
        return not is_said and self.artifact_type is None


@dataclass(frozen=True)
class Platform:
    """What a container is to run on; an empty variant fits every one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def fits(self, offered: PlatformEntry | None) -> bool:
        """Whether what an index or a config says of its platform is this one."""
        if offered is None or (offered.os, offered.architecture) != (self.os, self.architecture):
            return False
        return not self.variant or _variant_of(offered) == self.variant


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_entry = msgspec.json.Decoder(IndexEntry).decode


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`. Raises ConfigError."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(part.isalnum() for part in parts):
        raise ConfigError(f"{text!r}: no platform; write it like linux/amd64 or linux/arm64/v8")
    return Platform(*parts)


def read_entries(index: Manifest, misfits: list[str] | None = None) -> list[IndexEntry]:
    """Return the entries of an index. misfits: takes up why others cannot be read."""
    entries = []
    for entry in _decode_list(index.manifests):
        try:
            entries.append(_decode_entry(entry))
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            if misfits is not None:
                misfits.append(str(exc))
    return entries


def choose_entry(entries: list[IndexEntry], platform: Platform) -> IndexEntry | None:
    """Return the first entry for a platform, of the usual variant if there is one."""
    fitting = [entry for entry in entries if platform.fits(entry.platform)]
    return min(fitting, key=lambda entry: not _is_usual(entry.platform), default=None)


def describe_entries(entries: list[IndexEntry]) -> str:
    """Name the platforms of an index for a message."""
    offered = {
        str(Platform(p.os or "?", p.architecture or "?", p.variant or ""))
        for p in (entry.platform for entry in entries)
        if p is not None
    }
    return ", ".join(sorted(offered)) or "no platform"


def _is_usual(offered: PlatformEntry | None) -> bool:
    return offered is not None and _variant_of(offered) == _usual_variant(offered)


def _variant_of(offered: PlatformEntry) -> str:
    return offered.variant or _usual_variant(offered)


def _usual_variant(offered: PlatformEntry) -> str:
    return _USUAL_VARIANTS.get(offered.architecture or "", "")
