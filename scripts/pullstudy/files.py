"""Write results whole or not at all."""

from __future__ import annotations

import contextlib
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
