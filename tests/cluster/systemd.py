"""What a node's `systemctl` does, where no systemd runs: units are daemons of the test's own."""

from __future__ import annotations

import os
import shlex
import threading
from types import TracebackType

from tests.cluster.daemons import Daemon, call
from tests.cluster.node import Node

_UNITS = "/etc/systemd/system"
_PROGRAMS = "/usr/local/sbin"
_SCRIPT = """#!/bin/sh
echo "$*" >{folder}/asked
read answer <{folder}/answered
exit "$answer"
"""


class Systemd:
    """Answers `systemctl` on a node while the block lasts; `calls` are what it was asked for."""

    def __init__(self, node: Node) -> None:
        self.calls: list[str] = []
        self.units = node.lay_over(_UNITS)
        self._node = node
        self._daemons: dict[str, Daemon] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        folder = node.lay_over(_PROGRAMS)
        self._asked, self._answered = folder / "asked", folder / "answered"
        os.mkfifo(self._asked)
        os.mkfifo(self._answered)
        script = folder / "systemctl"
        script.write_text(_SCRIPT.format(folder=_PROGRAMS))
        script.chmod(0o755)

    def __enter__(self) -> Systemd:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self._asked.write_text("stop\n")
        self._thread.join(30)
        for daemon in self._daemons.values():
            daemon.stop()

    def _serve(self) -> None:
        while (line := self._asked.read_text().strip()) != "stop":
            self.calls.append(line)
            try:
                self._act(*line.split())
                status = 0
            except Exception as exc:  # noqa: BLE001 (whoever asked is told)
                self.calls.append(f"{type(exc).__name__}: {exc}")
                status = 1
            self._answered.write_text(f"{status}\n")

    def _act(self, verb: str, *words: str) -> None:
        unit = words[-1] if words else ""
        if (verb, unit) == ("restart", "containerd.service"):
            self._node.containerd.stop()
            self._node.containerd.start()
            self._node.containerd.wait()
        elif verb == "restart":
            self._daemons.pop(unit, Daemon(["true"], self.units, lambda: True)).stop()
            self._daemons[unit] = self._start(unit)
        elif verb == "disable" and "--now" in words:
            self._daemons.pop(unit).stop()
            call(*self._node.inside, *shlex.split(self._read(unit)["ExecStopPost"]))

    def _read(self, unit: str) -> dict[str, str]:
        lines = (self.units / unit).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")

    def _start(self, unit: str) -> Daemon:
        settings = self._read(unit)
        command = ["env", settings["Environment"], *shlex.split(settings["ExecStart"])]
        daemon = Daemon(command, self._node.folder, lambda: True, self._node.inside)
        daemon.start()
        return daemon
