"""What a user sees of a crawl and of a wait."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

import pytest
from rich.console import Console

from pullstudy.corpus.progress import (
    ProgressDisplay,
    format_clock,
    format_duration,
    wait_visibly,
)


@dataclass
class Clock:
    now: float = 0

    def __call__(self) -> float:
        return self.now


def open_console(is_terminal: bool) -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(file=screen, force_terminal=is_terminal, width=120), screen


def test_plain_lines_now_and_then() -> None:
    console, screen = open_console(False)
    clock = Clock()
    with ProgressDisplay(console, "crawl", 100, found=20, clock=clock) as progress:
        for number in range(60):
            clock.now += 1
            progress.advance(is_failure=number % 20 == 0)
    lines = screen.getvalue().splitlines()
    assert lines[0] == "crawl: 20 of 100 repositories are there already"
    assert lines[1] == "crawl: 30 of 100 repositories, 1.0/s, 70 s left, 1 failed"
    assert lines[-1] == "crawl: 80 of 100 repositories, 1.0/s, 20 s left, 3 failed"
    assert len(lines) == 1 + 6 + 1


def test_a_bar_on_a_terminal() -> None:
    console, screen = open_console(True)
    clock = Clock()
    with ProgressDisplay(console, "crawl", 4, clock=clock) as progress:
        clock.now = 2
        progress.advance(is_failure=True)
        progress._bar.refresh()
    shown = screen.getvalue()
    assert "1 of 4 repositories, 0.5/s, 6 s left, 1 failed" in shown
    assert "━" in shown
    assert shown.endswith("crawl: 1 of 4 repositories, 0.5/s, 6 s left, 1 failed\n")


def test_nothing_to_do_says_so_once() -> None:
    console, screen = open_console(False)
    with ProgressDisplay(console, "crawl", 7, found=7):
        pass
    assert screen.getvalue() == "crawl: 7 of 7 repositories are there already\n"


def test_the_end_is_said_after_an_error() -> None:
    console, screen = open_console(True)
    progress = ProgressDisplay(console, "crawl", 7, clock=Clock())
    with pytest.raises(KeyboardInterrupt), progress:
        progress.advance(is_failure=False)
        raise KeyboardInterrupt
    assert "1 of 7" in screen.getvalue()
    # The cursor is there again.
    assert "\x1b[?25h" in screen.getvalue()


@pytest.mark.parametrize("seconds", [0, 0.4, 1, 59.6, 61, 150])
def test_a_wait_in_lines(seconds: float) -> None:
    console, screen = open_console(False)
    slept: list[float] = []
    wait_visibly(console, seconds, "github: busy", slept.append)
    lines = screen.getvalue().splitlines()
    assert sum(slept) == max(1, round(seconds))
    assert len(lines) == -(-max(1, round(seconds)) // 60)
    assert lines[0].startswith(
        f"github: busy: going on in {format_clock(max(1, round(seconds)))}, at "
    )


def test_a_countdown_on_a_terminal() -> None:
    console, screen = open_console(True)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        # The display is refreshed 12 times a second.
        time.sleep(0.3)

    wait_visibly(console, 3, "github: busy", sleep)
    assert slept == [1, 1, 1]
    for clock in ("00:03", "00:02", "00:01"):
        assert f"github: busy: going on in {clock}" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5340, "89 min"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(5, "00:05"), (75, "01:15"), (3725, "1:02:05")])
def test_clocks(seconds: int, text: str) -> None:
    assert format_clock(seconds) == text
