"""Numbers as they are printed: by their size, not by their type."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

# An en dash and a minus sign, as print has them.
NOTHING, _MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_DIGITS = 4
_WHOLE_FROM = 10**6


def say_number(value: float | None, unit: str = "") -> str:
    """Print a number with up to four digits, whole ones in full: 77,449, 0.4027, 1.2e-05.

    A unit follows after a space; dollars stand before, percent as a sign.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = _say(abs(value))
    sign = _MINUS if value < 0 else ""
    if unit == "dollars":
        return f"{sign}${abs(value):,.{0 if value == round(value) else 2}f}"
    mark = {"percent": " %", "share": "", "": ""}.get(unit, f" {unit}")
    return f"{sign}{text}{mark}"


def _say(value: float) -> str:
    if value == round(value) or value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    if value >= 10**_DIGITS:
        return f"{value:,.1f}"
    if value < 1e-4:
        return f"{value:.1e}"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(value)))
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".")


def say_cell(value: Any) -> str:
    """Print a value of a table; nothing is a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return say_number(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(map(say_cell, value))
    return str(value)
