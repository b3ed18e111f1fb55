"""What `pullstudy pull` shows: a line for each trial; on a terminal also a bar with the rate."""

from __future__ import annotations

import contextlib
import statistics
import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pullstudy.pulls.backend import FAILED, NOT_STARTED, Trial, TrialResult
from pullstudy.pulls.measure import Reporter


class PullDisplay(contextlib.AbstractContextManager["PullDisplay"], Reporter):
    """Tells of a pull study on the standard error stream."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("trials, {task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}"),
        )
        self._progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, rate="")
        self._moved_bytes = 0
        self._begun = time.monotonic()

    def __enter__(self) -> PullDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, trials: int, done: int) -> None:
        """Show the bar."""
        self._begun = time.monotonic()
        self._progress.update(self._task, total=trials, completed=done)
        if done:
            self._say(f"{done} of {trials} trials were done before")

    def start(self, trial: Trial) -> None:
        """Name the image that is pulled."""
        nodes = "node" if trial.cluster.size == 1 else "nodes"
        text = f"{trial.cluster.run}, {trial.cluster.size} {nodes}: {_name(trial)}"
        self._progress.update(self._task, description=escape(text))

    def finish(self, trial: Trial, result: TrialResult) -> None:
        """Tell what the trial gave, and move the bar."""
        self._moved_bytes += sum(pull.compressed_bytes or 0 for pull in result.pulls)
        elapsed = time.monotonic() - self._begun
        self._progress.update(
            self._task, advance=1, rate=f"{self._moved_bytes / elapsed / 1e6:,.0f} MB/s"
        )
        self._say(describe(trial, result))

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._say(f"warning: {text}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def describe(trial: Trial, result: TrialResult) -> str:
    """Say in one line what a trial gave."""
    cluster, total = trial.cluster, len(result.pulls)
    head = f"{cluster.run}  {cluster.size} x {_name(trial)}  #{trial.attempt}"
    seconds = sorted(pull.seconds for pull in result.pulls if pull.seconds is not None)
    failed = [pull for pull in result.pulls if pull.outcome == FAILED]
    idle = [pull for pull in result.pulls if pull.outcome == NOT_STARTED]
    parts = []
    if seconds:
        middle = statistics.median(seconds)
        parts.append(f"{middle:.2f} s" if total == 1 else f"median {middle:.2f} s")
        if len(seconds) > 1:
            parts.append(f"{seconds[0]:.2f} to {seconds[-1]:.2f}")
    if failed:
        parts.append(f"{len(failed)} of {total} failed: {failed[0].error}")
    if idle:
        parts.append(f"{len(idle)} of {total} pulled but not started: {idle[0].error}")
    return f"{head}  {', '.join(parts)}"


def _name(trial: Trial) -> str:
    """The image without its registry: lines stay short."""
    return trial.image.reference.rpartition("/")[2]
