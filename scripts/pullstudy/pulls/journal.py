"""What a pull run has measured so far: one append-only file of JSON lines.

A line is written in one piece as soon as it is known; what a kill cut off is dropped when the file
is opened again. A trial counts when its `finished` line is there: one that was only begun is made
again, so that no pull counts twice, and is told of in the table `dropped`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.backend import TrialResult
from pullstudy.pulls.record import Node, PullImage


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """What a run is made with; settings: digest of all that changes what its pulls mean."""

    run: str
    settings: str


class Described(msgspec.Struct, frozen=True, tag="described"):
    """The manifests of a run's images."""

    run: str
    images: tuple[PullImage, ...]


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The nodes of a cluster."""

    cluster: str
    nodes: tuple[Node, ...]


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A trial of an image was begun; image: as the nodes name it, empty in old journals."""

    trial: str
    image: str = ""


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """A trial is complete."""

    trial: str
    result: TrialResult


_Record = Settled | Described | Opened | Begun | Finished
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Record).decode


class PullJournal:
    """The journal of one output folder; one process at a time has it."""

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin one. Raises PullError when that is not possible."""
        self._path = path
        self.settings: dict[str, str] = {}
        self.images: dict[str, tuple[PullImage, ...]] = {}
        self.nodes: dict[str, dict[str, Node]] = {}
        self.results: dict[str, TrialResult] = {}
        self._begun: dict[str, int] = {}
        self._under_way: dict[str, str] = {}
        self._size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as exc:
            raise self._error(exc) from exc
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> PullJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def settle(self, run: str, settings: str) -> None:
        """Write down what a run is made with.

        Raises PullError when it was begun with something else: its pulls cannot be compared.
        """
        known = self.settings.get(run)
        if known is None:
            self._add(Settled(run, settings))
        elif known != settings:
            raise PullError(
                f"{self._path}: run {run!r} was begun with other settings; "
                "choose another --out, or delete it to measure anew"
            )

    def describe(self, run: str, images: Sequence[PullImage]) -> None:
        """Write down the images of a run."""
        self._add(Described(run, tuple(images)))

    def open(self, cluster: str, nodes: Sequence[Node]) -> None:
        """Write down the nodes of a cluster; a node that is known stays as it was."""
        if {node.node for node in nodes} - self.nodes.get(cluster, {}).keys():
            self._add(Opened(cluster, tuple(nodes)))

    def begin(self, trial: str, image: str) -> None:
        """Write down that a trial of an image begins."""
        self._add(Begun(trial, image))

    def finish(self, trial: str, result: TrialResult) -> None:
        """Write down a complete trial."""
        self._add(Finished(trial, result))

    @property
    def interrupted(self) -> dict[str, int]:
        """How often each trial was begun in vain."""
        counts = {t: n - (t in self.results) for t, n in self._begun.items()}
        return {trial: count for trial, count in counts.items() if count}

    @property
    def left(self) -> frozenset[str]:
        """Images whose trials were begun and have not ended: nodes may have them still."""
        return frozenset(self._under_way.values())

    def _add(self, record: _Record) -> None:
        try:
            left = memoryview(_encode(record) + b"\n")
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as exc:
            # Half a line must not be joined by the next one.
            os.ftruncate(self._file, self._size)
            raise self._error(exc) from exc
        self._size = os.fstat(self._file).st_size
        self._take(record)

    def _take(self, record: _Record) -> None:
        match record:
            case Settled():
                self.settings[record.run] = record.settings
            case Described():
                self.images[record.run] = record.images
            case Opened():
                known = self.nodes.setdefault(record.cluster, {})
                for node in record.nodes:
                    known.setdefault(node.node, node)
            case Begun():
                self._begun[record.trial] = self._begun.get(record.trial, 0) + 1
                self._under_way[record.trial] = record.image
            case Finished():
                self._under_way.pop(record.trial, None)
                self.results.setdefault(record.trial, record.result)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise PullError(
                f"{self._path}: another run writes to it; wait for it or choose another --out"
            ) from exc

    def _read(self) -> None:
        content = self._path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        os.ftruncate(self._file, self._size)
        for number, line in enumerate(content[: self._size].splitlines(), 1):
            try:
                self._take(_decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as exc:
                raise PullError(
                    f"{self._path}: line {number} is damaged; delete the file to measure anew"
                ) from exc

    def _error(self, exc: OSError) -> PullError:
        return PullError(f"{self._path}: cannot be written: {exc.strerror}; run again to go on")
