"""Ask one registry no harder than it allows: concurrency, rate, and what it says of its limits.

Sources: RFC 9110 section 10.2.3 (Retry-After), draft-ietf-httpapi-ratelimit-headers-07 and -10
(RateLimit-*, RateLimit), Docker Hub "Pull usage and limits" (`ratelimit-remaining: 0;w=21600`).
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_GUESSED_PAUSE_SECONDS = 300.0
# How long a registry is waited for that only refuses: at least so long, and so many of the waits
# that it has named. Docker Hub names 216 s at least, and may refuse for six hours.
_SHORTEST_PATIENCE_SECONDS = 600.0
_WAITS_BELIEVED = 120
# A reset that is larger than this is a point in time (Unix seconds), not a delay.
_EPOCH_FROM = 1_000_000_000
_THROTTLED = frozenset({429, 503})
_find_number = re.compile(r"\d+").match
_find_window = re.compile(r";\s*w\s*=\s*\"?(\d+)").search
_find_item = re.compile(r"\b(r|t|remaining|reset)\s*=\s*(\d+)").findall


@dataclass(frozen=True)
class Limits:
    """How hard a registry may be asked.

    concurrency: requests under way at once. requests_per_second: the highest rate.
    counts_manifests_only: its quota counts GETs of manifests, not HEADs and blobs (Docker Hub);
    the harvest then asks with HEAD before it gets a manifest.
    """

    concurrency: int = 16
    requests_per_second: float = math.inf
    counts_manifests_only: bool = False


@dataclass(frozen=True)
class Quota:
    """What an answer says of the limit: requests left, and the seconds until there are more."""

    remaining: int
    reset_seconds: float | None


class Limiter:
    """Lets requests to one registry pass, in the order in which they came.

    Every request does `await enter(…)`, then `observe(…)` with the answer's status and headers,
    and at last `leave()`.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._last_good_at = clock()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._under_way = 0
        # Lowered when the registry complains; every good answer raises it by one.
        self._allowed = limits.concurrency
        self._next_start = 0.0
        self._paused_until = 0.0
        self._quota_until = 0.0
        self._complaints = 0
        self._named_seconds = 0.0

    @property
    def pause_seconds(self) -> float:
        """How long the registry still wants to be left alone."""
        return max(0.0, max(self._paused_until, self._quota_until) - self._clock())

    @property
    def fruitless_seconds(self) -> float:
        """How long the registry has given no good answer."""
        return self._clock() - self._last_good_at

    @property
    def patience_seconds(self) -> float:
        """How long a registry that gives no good answer is worth waiting for."""
        return max(_SHORTEST_PATIENCE_SECONDS, _WAITS_BELIEVED * self._named_seconds)

    async def enter(self, counted: bool = True) -> None:
        """Wait until one more request may start. counted: the registry's quota counts it."""
        await self._take_place()
        try:
            await self._wait_for_turn(counted or not self.limits.counts_manifests_only)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the next request."""
        self._under_way -= 1
        self._wake()

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from the status and the headers of an answer."""
        now = self._clock()
        if status in _THROTTLED:
            self._hold(now, status, headers)
            return
        if status < 400:
            self._last_good_at = now
            self._complaints = 0
            self._allowed = min(self.limits.concurrency, self._allowed + 1)
        quota = read_quota(headers)
        if quota is not None and quota.reset_seconds is not None:
            self._named_seconds = max(self._named_seconds, quota.reset_seconds)
        if quota is not None and quota.remaining == 0 and quota.reset_seconds is not None:
            self._quota_until = max(self._quota_until, now + quota.reset_seconds)
        elif quota is not None and quota.remaining > 0:
            self._allowed = min(self._allowed, quota.remaining)

    def _hold(self, now: float, status: int, headers: Mapping[str, str]) -> None:
        asked = read_retry_after(headers.get("Retry-After", ""))
        if asked is None and status == 503:
            return  # a fault of one request, not a word about the rate
        if asked is None and (quota := read_quota(headers)) is not None:
            asked = quota.reset_seconds
        self._allowed = 1
        if not asked:
            # "At once" is no word either from a registry that has just refused.
            if now < self._paused_until:
                return  # requests that were under way together complain once
            guess = _FIRST_PAUSE_SECONDS * 2.0**self._complaints
            asked = min(guess, _LONGEST_GUESSED_PAUSE_SECONDS)
            self._complaints += 1
        else:
            self._named_seconds = max(self._named_seconds, asked)
        self._paused_until = max(self._paused_until, now + asked)

    async def _take_place(self) -> None:
        if self._under_way < self._allowed and not self._waiting:
            self._under_way += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    async def _wait_for_turn(self, counted: bool) -> None:
        while True:
            until = max(self._paused_until, self._quota_until if counted else 0.0)
            delay = until - self._clock()
            if delay <= 0:
                break
            await asyncio.sleep(delay)
        if math.isfinite(self.limits.requests_per_second):
            start = max(self._clock(), self._next_start)
            self._next_start = start + 1.0 / self.limits.requests_per_second
            await asyncio.sleep(start - self._clock())

    def _wake(self) -> None:
        while self._waiting and self._under_way < self._allowed:
            place = self._waiting.popleft()
            if not place.done():
                self._under_way += 1
                place.set_result(None)


def read_retry_after(value: str) -> float | None:
    """Seconds to wait by a Retry-After value, a number or a date; None when it is neither."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def read_quota(headers: Mapping[str, str]) -> Quota | None:
    """Read RateLimit (or X-RateLimit) headers of any of their drafts; None when there are none."""
    if combined := headers.get("RateLimit"):
        items = {name[0:3]: int(value) for name, value in _find_item(combined)}
        remaining = items.get("r", items.get("rem"))
        reset = items.get("t", items.get("res"))
        return None if remaining is None else Quota(remaining, reset)
    for prefix in ("RateLimit-", "X-RateLimit-"):
        left = _find_number(headers.get(f"{prefix}Remaining", "").strip())
        if left:
            return Quota(int(left[0]), _read_reset(headers, prefix))
    return None


def _read_reset(headers: Mapping[str, str], prefix: str) -> float | None:
    if reset := _find_number(headers.get(f"{prefix}Reset", "").strip()):
        seconds = float(reset[0])
        return max(0.0, seconds - time.time()) if seconds > _EPOCH_FROM else seconds
    # Docker Hub names only limit and window; a place gets free every window/limit seconds.
    limit = headers.get(f"{prefix}Limit", "").strip()
    number, window = _find_number(limit), _find_window(limit)
    if number and window and int(number[0]) > 0:
        return float(window[1]) / float(number[0])
    return None
