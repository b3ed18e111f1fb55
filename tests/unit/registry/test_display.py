"""What is shown of a harvest, on a terminal and off it."""

import asyncio
import io

import pytest
from rich.console import Console

from pullstudy.registry import display
from pullstudy.registry.display import Display, describe
from pullstudy.registry.limits import Limiter, Limits
from pullstudy.registry.plan import Progress


def progress() -> Progress:
    return Progress(
        repositories=10, repositories_done=4, tags=3000, tags_done=1200, tags_found_done=200,
        failures=2,
    )  # fmt: skip


def test_counts_rate_remaining_time_and_failures_are_named() -> None:
    assert describe(progress(), 10.0) == (
        "1,200/3,000 tags, 2 failures, 100 tags/s, 18 s left, 4/10 repositories"
    )
    slow = Progress(repositories=1, tags=2000, tags_done=10)
    assert "0.1 tags/s, 5 h 32 min left" in describe(slow, 100.0)
    assert describe(Progress(repositories=1), 0.0) == (
        "0/0 tags, 0 failures, 0.0 tags/s, 0/1 repositories"
    )


def test_a_registry_that_wants_a_pause_is_named() -> None:
    shown = progress()
    shown.limiters["docker.io"] = Limiter(Limits())
    shown.limiters["ghcr.io"] = Limiter(Limits())
    assert "pause" not in describe(shown, 10.0)
    shown.limiters["docker.io"].observe(429, {"Retry-After": "600"})
    shown.limiters["ghcr.io"].observe(429, {"Retry-After": "60"})
    assert describe(shown, 10.0).startswith("docker.io wants a pause of 10 min, ")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_it_is_shown_while_the_harvest_runs(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_LINE_SECONDS", 0.05)
    monkeypatch.setattr(display, "_REFRESH_SECONDS", 0.05)
    text = io.StringIO()
    console = Console(file=text, force_terminal=is_terminal, width=80)

    async def run() -> None:
        shown = progress()
        task = asyncio.create_task(Display(console)(shown))
        await asyncio.sleep(0.12)
        shown.tags_done += 1
        await asyncio.sleep(0.12)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())
    output = text.getvalue()
    assert "1,200/3,000 tags" in output
    assert "1,201/3,000 tags" in output
    if not is_terminal:
        lines = output.splitlines()
        assert len(lines) == 2, "a line only when there is something new"
        assert all(line.startswith("harvest: ") and "\x1b" not in line for line in lines)
