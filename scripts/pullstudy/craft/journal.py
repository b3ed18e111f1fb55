"""What a push has to remember when it is killed: finished layers, and uploads under way.

One JSON line per event, appended: any number of pushes may share the file, and a torn last line is
skipped. Losing it costs time, never correctness: the registry verifies every digest.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from pullstudy.craft.stream import Blob
from pullstudy.errors import CraftError


def default_journal_path() -> Path:
    """Where the journal is kept unless said otherwise (XDG base directory specification)."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pullstudy" / "craft.jsonl"


class Journal:
    """Blobs by the recipe of their layer, and upload addresses by repository and recipe."""

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin one. Raises CraftError when it cannot be written."""
        self._path = path
        self._blobs: dict[str, Blob] = {}
        self._repositories: dict[str, set[str]] = defaultdict(set)
        self._uploads: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            content = path.read_bytes()
            if content and not content.endswith(b"\n"):
                # A process that was killed left half a line; the next one must not join it.
                self._write(b"\n")
        except OSError as exc:
            raise self._error(exc) from exc
        for line in content.splitlines():
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
                self._take(orjson.loads(line))

    def find_blob(self, recipe: str) -> Blob | None:
        """Return what a recipe led to when it was last followed."""
        return self._blobs.get(recipe)

    def repositories(self, recipe: str) -> set[str]:
        """Return where (`registry/repository`) such a layer was pushed."""
        return self._repositories[recipe]

    def find_upload(self, repository: str, recipe: str) -> str | None:
        """Return the address of a broken upload of this layer."""
        return self._uploads.get((repository, recipe))

    def keep_blob(self, repository: str, recipe: str, blob: Blob) -> None:
        """Remember a finished layer; its upload is over."""
        if repository in self._repositories[recipe] and self._blobs.get(recipe) == blob:
            return
        self._append({"recipe": recipe, "blob": asdict(blob), "repository": repository})

    def keep_upload(self, repository: str, recipe: str, url: str) -> None:
        """Remember where an upload goes on."""
        self._append({"recipe": recipe, "repository": repository, "upload": url})

    def _append(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._take(event)
            try:
                self._write(orjson.dumps(event) + b"\n")
            except OSError as exc:
                raise self._error(exc) from exc

    def _write(self, line: bytes) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write(line)

    def _take(self, event: dict[str, Any]) -> None:
        key = (event["repository"], event["recipe"])
        if "upload" in event:
            self._uploads[key] = event["upload"]
        else:
            self._blobs[event["recipe"]] = Blob(**event["blob"])
            self._repositories[event["recipe"]].add(event["repository"])
            self._uploads.pop(key, None)

    def _error(self, exc: OSError) -> CraftError:
        return CraftError(f"{self._path}: {exc.strerror}; choose another file with --journal")
