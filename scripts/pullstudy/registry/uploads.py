"""Blobs on their way into the embedded registry: each upload is a file that grows and is hashed."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pullstudy.errors import RegistryError


class WrongChunk(RegistryError):
    """A chunk does not begin where the upload ends."""


class WrongDigest(RegistryError):
    """The uploaded bytes have another digest than was said."""


@dataclass
class _Upload:
    path: Path
    size_bytes: int = 0
    # Nearly always the algorithm; which one it is comes with the last request only.
    sha256: Any = field(default_factory=hashlib.sha256)


class Uploads:
    """The uploads that are under way, as files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads: dict[str, _Upload] = {}

    def __contains__(self, upload: str) -> bool:
        return upload in self._uploads

    def begin(self) -> str:
        """Begin an upload and return its identifier."""
        self._folder.mkdir(exist_ok=True)
        upload = secrets.token_hex(16)
        path = self._folder / upload
        path.touch()
        self._uploads[upload] = _Upload(path)
        return upload

    def size_bytes(self, upload: str) -> int:
        """How many bytes have come."""
        return self._uploads[upload].size_bytes

    async def receive(self, upload: str, start: int | None, chunks: AsyncIterator[bytes]) -> None:
        """Append bytes; what came before a lost connection stays, so that the client can go on.

        start: the position that the client means, or None. Raises WrongChunk when it is another.
        """
        state = self._uploads[upload]
        if start is not None and start != state.size_bytes:
            raise WrongChunk(
                f"the upload has {state.size_bytes} bytes, the chunk begins at {start}"
            )
        with state.path.open("ab") as file:
            async for chunk in chunks:
                file.write(chunk)
                state.sha256.update(chunk)
                state.size_bytes += len(chunk)

    def finish(self, upload: str, digest: str) -> Path:
        """End an upload and return its file. Raises WrongDigest; the upload is gone in any case."""
        state = self._uploads.pop(upload)
        algorithm = digest.partition(":")[0]
        if algorithm == "sha256":
            found = state.sha256.hexdigest()
        else:
            with state.path.open("rb") as file:
                found = hashlib.file_digest(file, algorithm).hexdigest()
        if f"{algorithm}:{found}" != digest:
            state.path.unlink()
            raise WrongDigest(f"the upload has the digest {algorithm}:{found}")
        return state.path

    def cancel(self, upload: str) -> None:
        """Forget an upload and its bytes."""
        self._uploads.pop(upload).path.unlink()

    def clear(self) -> None:
        """Forget all uploads."""
        self._uploads.clear()
        shutil.rmtree(self._folder, ignore_errors=True)
