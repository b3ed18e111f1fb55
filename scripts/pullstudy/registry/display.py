"""Show how far a harvest is: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pullstudy.registry.plan import Progress as Harvested

_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 10.0
_IDLE_LINE_SECONDS = 60.0


@dataclass(frozen=True)
class Display:
    """A display on one console; call it with the progress, cancel it when the harvest is over."""

    console: Console

    async def __call__(self, harvested: Harvested) -> None:
        """Show the progress until cancelled."""
        if self.console.is_terminal:
            await _show_bar(self.console, harvested)
        else:
            await _print_lines(self.console, harvested)


def describe(harvested: Harvested, elapsed_seconds: float) -> str:
    """The state in words: counts, rate, remaining time, failures, waits."""
    read = harvested.tags_done - harvested.tags_found_done
    rate = read / elapsed_seconds if elapsed_seconds > 0 else 0.0
    left = harvested.tags - harvested.tags_done
    pauses = list(harvested.waits().items())[:1]
    parts = [f"{name} wants a pause of {_format_duration(seconds)}" for name, seconds in pauses]
    parts += [
        f"{harvested.tags_done:,}/{harvested.tags:,} tags",
        f"{harvested.failures:,} failures",
        f"{rate:,.0f} tags/s" if rate >= 10 else f"{rate:.1f} tags/s",
    ]
    if rate > 0 and left:
        parts.append(f"{_format_duration(left / rate)} left")
    parts.append(f"{harvested.repositories_done:,}/{harvested.repositories:,} repositories")
    return ", ".join(parts)


async def _show_bar(console: Console, harvested: Harvested) -> None:
    start = time.monotonic()
    columns = (BarColumn(10), TextColumn("{task.description}"))
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)
        while True:
            bar.update(
                task,
                description=describe(harvested, time.monotonic() - start),
                completed=harvested.tags_done,
                total=harvested.tags or None,
                refresh=True,
            )
            await asyncio.sleep(_REFRESH_SECONDS)


async def _print_lines(console: Console, harvested: Harvested) -> None:
    start = time.monotonic()
    shown, shown_at = -1, start
    while True:
        await asyncio.sleep(_LINE_SECONDS)
        now = time.monotonic()
        if harvested.tags_done != shown or now - shown_at >= _IDLE_LINE_SECONDS:
            text = describe(harvested, now - start)
            console.print(f"harvest: {text}", highlight=False, markup=False, soft_wrap=True)
            shown, shown_at = harvested.tags_done, now


def _format_duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
