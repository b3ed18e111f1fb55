"""Show how far a long job is: on a terminal a bar, else a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_SECONDS = 10.0
_COUNTDOWN_LINE_SECONDS = 60


class ProgressDisplay:
    """Counts of a job over `total` repositories; used as a context manager.

    found: how many were done before; they count for the bar, not for the rate.
    """

    def __init__(
        self,
        console: Console,
        job: str,
        total: int,
        found: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._job = job
        self._total = total
        self._found = found
        self._done = found
        self._failures = 0
        self._clock = clock

    def __enter__(self) -> ProgressDisplay:
        self._started = self._line_at = self._clock()
        columns = (TextColumn(self._job), BarColumn(20), TextColumn("{task.description}"))
        is_shown = self._console.is_terminal
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not is_shown)
        self._task = self._bar.add_task(self.describe(), total=self._total, completed=self._done)
        self._bar.start()
        if self._found:
            self._print(f"{self._found:,} of {self._total:,} repositories are there already")
        return self

    def advance(self, is_failure: bool) -> None:
        """Count one more repository."""
        self._done += 1
        self._failures += is_failure
        self._bar.update(self._task, completed=self._done, description=self.describe())
        if self._clock() - self._line_at >= _LINE_SECONDS and not self._console.is_terminal:
            self._print(self.describe())
            self._line_at = self._clock()

    def describe(self) -> str:
        """The state in words: counts, rate, remaining time, failures."""
        elapsed = self._clock() - self._started
        rate = (self._done - self._found) / elapsed if elapsed > 0 else 0.0
        parts = [f"{self._done:,} of {self._total:,} repositories", f"{rate:.1f}/s"]
        if rate > 0 and self._done < self._total:
            parts.append(f"{format_duration((self._total - self._done) / rate)} left")
        parts.append(f"{self._failures:,} failed")
        return ", ".join(parts)

    def _print(self, text: str) -> None:
        print_line(self._console, f"{self._job}: {text}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if self._done > self._found:
            self._print(self.describe())


def wait_visibly(
    console: Console,
    seconds: float,
    reason: str,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait, and show what for and how long: a countdown on a terminal, else a line a minute."""
    left = max(1, round(seconds))
    end = datetime.now().astimezone() + timedelta(seconds=left)
    if console.is_terminal:
        with console.status("") as status:
            for remaining in range(left, 0, -1):
                status.update(f"{reason}: going on in {format_clock(remaining)}")
                sleep(1)
        return
    while left > 0:
        step = min(left, _COUNTDOWN_LINE_SECONDS)
        print_line(console, f"{reason}: going on in {format_clock(left)}, at {end:%H:%M:%S}")
        sleep(step)
        left -= step


def print_line(console: Console, text: str) -> None:
    """Print one plain line, without markup or breaks."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def format_clock(seconds: int) -> str:
    """`00:45`, `1:00:00`."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def format_duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
