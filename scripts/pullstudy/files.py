"""Write results whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; it takes the place of `path` when the block succeeds.

    After an error nothing is left under either name that was not there before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays last: writers of pictures choose the format by it.
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


@contextlib.contextmanager
def make_scratch(path: Path) -> Iterator[Path]:
    """Give an empty folder under this very name, which is gone again when the block ends.

    What a killed process left under it is removed: a name made up each time would leave that for
    ever. Only one process may use the name.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
