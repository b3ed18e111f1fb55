"""What an image must not be, for a continuous integration: `size>2GB,layers>100,latest`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pullstudy.errors import ConfigError
from pullstudy.inspection.practices import FIXES
from pullstudy.inspection.report import Inspection

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "kib": 2**10, "mib": 2**20, "gib": 2**30}  # fmt: skip
_DAYS = {"": 1, "d": 1, "w": 7, "y": 365}
_MEASURES = ("size", "layers", "largest", "age")
_FLAGS = ("latest", "empty", "repeated", "refused")
_find_comparison = re.compile(r"(size|layers|largest|age)\s*>\s*([0-9.]+)\s*([a-zA-Z]*)").fullmatch


@dataclass(frozen=True)
class Condition:
    """One condition; limit is in bytes, layers or days, None for one that is met or not."""

    text: str
    what: str
    limit: float | None = None

    def is_met(self, inspection: Inspection) -> bool:
        """Whether the image is what it must not be."""
        if self.limit is not None:
            value = _measure(inspection, self.what)
            return value is not None and value > self.limit
        if self.what == "latest":
            return any(b.practice in ("latest_tag", "no_tag") for b in inspection.broken)
        if self.what == "refused":
            return bool(inspection.refusals)
        if self.what in ("empty", "repeated"):
            return any(getattr(layer, f"is_{self.what}") for layer in inspection.layers)
        return any(broken.practice == self.what for broken in inspection.broken)


def parse_conditions(text: str) -> list[Condition]:
    """Read conditions that are separated by commas. Raises ConfigError."""
    return [_parse(part.strip()) for part in text.split(",") if part.strip()]


def _parse(text: str) -> Condition:
    if text in _FLAGS or text in FIXES:
        return Condition(text, text)
    match = _find_comparison(text)
    if match is None:
        known = ", ".join([*(f"{name}>N" for name in _MEASURES), *_FLAGS])
        raise ConfigError(
            f"--fail-on: {text!r} is no condition; write {known}, or a practice: {', '.join(FIXES)}"
        )
    what, number, unit = match[1], match[2], match[3].lower()
    units = _DAYS if what == "age" else _UNITS if what in ("size", "largest") else {"": 1}
    try:
        return Condition(text, what, float(number) * units[unit])
    except (KeyError, ValueError):
        allowed = ", ".join(name for name in units if name) or "none"
        raise ConfigError(f"--fail-on: {text!r}: wrong number or unit; units: {allowed}") from None


def _measure(inspection: Inspection, what: str) -> float | None:
    if what == "age":
        return inspection.age_days
    if what == "layers":
        return len(inspection.layers)
    if what == "largest":
        return max((layer.size_bytes for layer in inspection.layers), default=0)
    return inspection.size_bytes
