"""Programs that run until they are stopped, each with a log, perhaps in a network namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 20.0


class DaemonFailed(Exception):
    """A program did not come up; the text holds the end of its log."""


class Daemon:
    """One program; `start` may be called again after `stop` or `kill`."""

    def __init__(
        self,
        command: Sequence[object],
        folder: Path,
        is_up: Callable[[], bool],
        inside: Sequence[object] = (),
    ) -> None:
        """folder: of its log. is_up: whether it answers. inside: command that it is run by."""
        self.name = Path(str(command[0])).name
        self.log = folder / f"{self.name}.log"
        self._command = [str(word) for word in (*inside, *command)]
        self._is_up = is_up
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it without waiting."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True, cwd=self.log.parent
            )

    def wait(self) -> None:
        """Wait until it answers. Raises DaemonFailed when it ends or says nothing for long."""
        end = time.monotonic() + START_SECONDS
        while not self._is_up():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > end:
                said = self.log.read_text(errors="replace")[-3000:]
                raise DaemonFailed(f"{self.name} did not come up: {said}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in its own order, or else at once."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """Its process identifier, while it runs."""
        return self._process.pid if self._process else None

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def call(*command: object, check: bool = True) -> str:
    """Run a short command and return what it says."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=120
    )
    if check and done.returncode != 0:
        raise DaemonFailed(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def end_below(folder: Path) -> None:
    """Kill what was started with a path in this folder: shims that outlive their containerd."""
    mark = f"{folder}/".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue
