"""Replay of event logs against decoding the same JSON alone, in one run.

    python benchmarks/replay_events.py FILE_OR_FOLDER...

Prints CPU seconds of both, the smallest of nine rounds, their ratio (limit 2.5), and how much
memory the replay of all files takes beside its largest file.
"""

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from pullstudy.pulls.replay import replay, walk_files

ROUNDS = 9
Files = list[tuple[str, bytes]]


def decode(files: Files) -> None:
    for _, content in files:
        lines = content.split(b"\n") if content.startswith(b'{"') else [content]
        for line in lines:
            try:
                orjson.loads(line)
            except orjson.JSONDecodeError:
                continue


def smallest_seconds(actions: Sequence[Callable[[], object]]) -> list[float]:
    """Time the actions in turn, so that another load meets all of them."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(ROUNDS):
        for action, found in zip(actions, seconds, strict=True):
            begin = time.process_time()
            action()
            found.append(time.process_time() - begin)
    return [min(found) for found in seconds]


def peak_bytes(paths: list[Path], out: Path) -> int:
    tracemalloc.start()
    replay(walk_files(paths), out)
    return tracemalloc.get_traced_memory()[1]


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]]
    files = list(walk_files(paths))
    sizes = [len(content) for _, content in files]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        replay(files, out)  # Arrow loads its parts with the first table.
        alone, whole = smallest_seconds([lambda: decode(files), lambda: replay(files, out)])
        peak = peak_bytes(paths, out)
    print(f"{sum(sizes) / 1e6:.1f} MB of JSON: decoding {alone:.3f} s, replay {whole:.3f} s")
    print(f"ratio {whole / alone:.2f} (limit 2.5)")
    print(f"peak memory {peak / 1e6:.1f} MB, largest file {max(sizes) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
