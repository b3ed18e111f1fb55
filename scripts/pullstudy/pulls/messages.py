"""What the kubelet says about images, and how Go writes durations.

Wording: Kubernetes 1.10 to 1.34, `pkg/kubelet/images/image_manager.go`,
`pkg/kubelet/images/types.go` and `pkg/kubelet/events/event.go`; what follows `Failed to pull
image "…": ` is the container runtime's. Up to 1.25 the one duration counts from the request, so it
holds the waiting for other pulls; from 1.26 both stand there; from 1.30 the image size follows.
Events of the same kind are merged after the tenth, under a prefix (client-go, `EventAggregator`).
Durations: Go's `time.Duration.String` and `time.ParseDuration`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import msgspec

Kind = Literal["pulling", "pulled", "present", "failed", "back_off", "repeated_failure"]

# time.unitMap of Go: both code points of the micro sign, and the ASCII spelling.
_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_MERGED = "(combined from similar events): "
_PART = r"(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION = rf"[-+]?(?:(?:{_PART})+|0)"
# What Go writes ends in seconds; this is looser and quicker to search for.
_WRITTEN = r"[-+0-9.hmnuµμ]*s"
_match_duration = re.compile(_DURATION).fullmatch
_find_parts = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)").findall

_match_pulling = re.compile(r'[Pp]ulling image "([^"]*)"').match
_match_pulled = re.compile(
    r'Successfully pulled image "([^"]*)"'
    rf"(?: in ({_WRITTEN}))?"
    rf"(?: \(({_WRITTEN}) including waiting\))?"
    r"(?:\. Image size: (\d+) bytes\.?)?"
).match
_match_present = re.compile(r'Container image "([^"]*)" already present on (?:machine|node)').match
_match_failed = re.compile(
    r'Failed to (?:(?:pull|inspect) image|apply default image tag) "([^"]*)"(?:: )?(.*)', re.DOTALL
).match
_match_refused = re.compile(
    r'Container image "([^"]*)" is not present with pull policy of Never'
).match
_match_back_off = re.compile(r'Back-off pulling image "([^"]*)"').match
# Sync errors of the pod worker (types.go); each follows a message that names the image.
_match_repeated = re.compile(
    r"Error: (?:ErrImagePull|ImagePullBackOff|ErrImageNeverPull|ImageInspectError"
    r"|RegistryUnavailable|SignatureValidationFailed|InvalidImageName)\b"
).match


class ImageMessage(msgspec.Struct, frozen=True, gc=False):
    """What one message says about one image; `image` is empty where the message names none."""

    kind: Kind
    image: str = ""
    seconds: float | None = None
    seconds_including_waiting: float | None = None
    size_bytes: int | None = None
    error: str | None = None


def parse_duration(text: str) -> float:
    """Read a duration as Go writes it (`1h2m3.5s`, `345.6ms`, `12µs`) into seconds.

    Raises ValueError when the text is none.
    """
    if text[-1:] == "s" and text[:-1].replace(".", "", 1).isdecimal():
        return float(text[:-1])  # by far the most frequent: seconds alone
    if not _match_duration(text):
        raise ValueError(f"{text[:80]!r} is no duration")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _find_parts(text))
    # Go's durations are whole nanoseconds: this takes back what the sum of binary fractions added.
    return round(-seconds if text.startswith("-") else seconds, 9)


def parse_message(reason: str, message: str) -> ImageMessage | None:
    """Read a kubelet event into what it says about an image; None: it says nothing of one.

    `Failed` and `BackOff` also stand for containers that did not start: these give None.
    """
    parse = _PARSERS.get(reason)
    return None if parse is None else parse(message.removeprefix(_MERGED))


@lru_cache(maxsize=4096)
def _parse_pulling(message: str) -> ImageMessage | None:
    match = _match_pulling(message)
    return None if match is None else ImageMessage("pulling", match[1])


def _parse_pulled(message: str) -> ImageMessage | None:
    match = _match_pulled(message)
    if match is None:
        match = _match_present(message)
        return None if match is None else ImageMessage("present", match[1])
    image, alone, waiting, size = match.groups()
    try:
        seconds = None if alone is None else parse_duration(alone)
        waited = seconds if waiting in (None, alone) else parse_duration(waiting)
    except ValueError:
        return None
    return ImageMessage("pulled", image, seconds, waited, None if size is None else int(size))


def _parse_failed(message: str) -> ImageMessage | None:
    if match := _match_failed(message):
        return ImageMessage("failed", match[1], error=match[2].strip() or message)
    if match := _match_refused(message):
        return ImageMessage("failed", match[1], error=message)
    return ImageMessage("repeated_failure") if _match_repeated(message) else None


def _parse_back_off(message: str) -> ImageMessage | None:
    match = _match_back_off(message)
    return None if match is None else ImageMessage("back_off", match[1])


_PARSERS: dict[str, Callable[[str], ImageMessage | None]] = {
    "Pulling": _parse_pulling,
    "Pulled": _parse_pulled,
    "Failed": _parse_failed,
    "InspectFailed": _parse_failed,
    "ErrImageNeverPull": _parse_failed,
    "BackOff": _parse_back_off,
}

# Reasons of the events that `parse_message` reads.
IMAGE_REASONS = frozenset(_PARSERS)
