"""Limits: what headers say, and who may start when."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pullstudy.registry.limits import Limiter, Limits, Quota, read_quota, read_retry_after


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"RateLimit-Remaining": "none"}, None),
        ({"RateLimit-Remaining": "5"}, Quota(5, None)),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, Quota(0, 30)),
        # Docker Hub
        (
            {"RateLimit-Remaining": "0;w=21600", "RateLimit-Limit": "100;w=21600"},
            Quota(0, 216),
        ),
        # Drafts 07 and 10 of the standard
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, Quota(0, 50)),
        ({"RateLimit": '"default";r=7;t=30'}, Quota(7, 30)),
        ({"RateLimit": "limit=100"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}, Quota(0, 12)),
    ],
)
def test_quotas_are_read(headers: dict[str, str], expected: Quota | None) -> None:
    assert read_quota(headers) == expected


def test_a_reset_may_be_a_point_in_time() -> None:
    reset = str(int(time.time()) + 100)
    quota = read_quota({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    assert quota is not None
    assert quota.reset_seconds == pytest.approx(100, abs=2)


@pytest.mark.parametrize(
    ("value", "seconds"), [("5", 5), (" 120 ", 120), ("", None), ("soon", None), ("-5", None)]
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert read_retry_after(later) == pytest.approx(60, abs=2)
    assert read_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0


class Clock:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def passes_now(limiter: Limiter, counted: bool = True) -> bool:
    """Whether a request may start within some milliseconds."""
    try:
        await asyncio.wait_for(limiter.enter(counted), 0.02)
    except TimeoutError:
        return False
    return True


def test_a_refusal_pauses_all_and_lets_one_try_after_it() -> None:
    async def check() -> None:
        clock = Clock()
        limiter = Limiter(Limits(concurrency=4), clock)
        assert await passes_now(limiter)
        limiter.observe(429, {"Retry-After": "30"})
        limiter.leave()
        assert limiter.pause_seconds == 30
        assert not await passes_now(limiter)
        clock.now += 30
        assert await passes_now(limiter)
        assert not await passes_now(limiter), "one at a time, until it answers well"
        limiter.observe(200, {})
        limiter.leave()
        assert [await passes_now(limiter) for _ in range(3)] == [True, True, False]

    asyncio.run(check())


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"RateLimit": '"default";r=0;t=0'}])
def test_without_a_word_the_pause_is_guessed_longer_each_time(headers: dict[str, str]) -> None:
    clock = Clock()
    limiter = Limiter(Limits(), clock)
    pauses = []
    for _ in range(10):
        limiter.observe(429, headers)
        limiter.observe(429, headers)  # was under way at the same time
        pauses.append(limiter.pause_seconds)
        clock.now += limiter.pause_seconds
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert limiter.fruitless_seconds == sum(pauses)
    limiter.observe(200, {})
    assert limiter.fruitless_seconds == 0
    limiter.observe(429, {})
    assert limiter.pause_seconds == 1


@pytest.mark.parametrize(
    ("status", "headers", "hours"),
    [
        (429, {}, 1 / 6),
        (429, {"Retry-After": "1"}, 1 / 6),
        (429, {"Retry-After": "60"}, 2),
        # Docker Hub tells of its quota with every manifest; it is one of six hours.
        (200, {"RateLimit-Remaining": "9;w=21600", "RateLimit-Limit": "100;w=21600"}, 7.2),
    ],
)
def test_a_registry_is_waited_for_by_what_it_names(
    status: int, headers: dict[str, str], hours: float
) -> None:
    limiter = Limiter(Limits(), Clock())
    limiter.observe(status, headers)
    assert limiter.patience_seconds == pytest.approx(3600 * hours)


def test_a_server_error_is_no_word_about_the_rate() -> None:
    limiter = Limiter(Limits(), Clock())
    limiter.observe(503, {})
    limiter.observe(500, {"Retry-After": "60"})
    assert limiter.pause_seconds == 0


def test_a_quota_of_manifests_holds_only_those() -> None:
    async def check() -> None:
        clock = Clock()
        limiter = Limiter(Limits(counts_manifests_only=True), clock)
        hub = {"RateLimit-Remaining": "0;w=21600", "RateLimit-Limit": "100;w=21600"}
        limiter.observe(200, hub)
        assert limiter.pause_seconds == 216
        assert not await passes_now(limiter, counted=True)
        assert await passes_now(limiter, counted=False)

    asyncio.run(check())


def test_the_last_of_a_quota_is_not_overdrawn() -> None:
    async def check() -> None:
        limiter = Limiter(Limits(concurrency=10), Clock())
        limiter.observe(200, {"RateLimit-Remaining": "2"})
        assert [await passes_now(limiter) for _ in range(3)] == [True, True, False]

    asyncio.run(check())


def test_waiting_requests_pass_in_order_and_can_be_cancelled() -> None:
    async def check() -> None:
        limiter = Limiter(Limits(concurrency=1))
        order: list[int] = []

        async def ask(number: int) -> None:
            await limiter.enter()
            order.append(number)
            await asyncio.sleep(0)
            limiter.leave()

        await limiter.enter()
        tasks = [asyncio.create_task(ask(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        limiter.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 2, 4]
        assert await passes_now(limiter), "a cancelled request gives its place back"

    asyncio.run(check())
