"""Content by digest, one file each: the blobs of an OCI image layout."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from pathlib import Path

from pullstudy.errors import RegistryError


class ContentStore:
    """Files named by their digest, `folder/<algorithm>/<digits>`.

    A file is moved to its place when it is complete, so that a kill leaves no half of one there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).exists()

    def path(self, digest: str) -> Path:
        """Where the content of a digest is, or would be. The digest must be a valid one."""
        algorithm, _, digits = digest.partition(":")
        return self.folder / algorithm / digits

    def get(self, digest: str) -> bytes | None:
        """Return the content, or None when it is not there or was damaged on disk."""
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError:
            return None
        return content if digest_of(content, digest) == digest else None

    def put(self, digest: str, content: bytes) -> None:
        """Keep content whose digest was verified.

        Raises RegistryError when it cannot be written.
        """
        partial = self.folder / f".{secrets.token_hex(8)}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            self.adopt(digest, partial)
        except OSError as exc:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise RegistryError(
                f"{self.folder}: cannot keep {digest}: {exc.strerror}; free some space or "
                "choose another folder"
            ) from exc

    def adopt(self, digest: str, complete: Path) -> None:
        """Move a complete, verified file of the same file system to its place."""
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        complete.replace(path)


def digest_of(content: bytes, like: str = "sha256:") -> str:
    """The digest of content, by the algorithm that `like` starts with."""
    if like.startswith("sha256:"):
        return f"sha256:{hashlib.sha256(content).hexdigest()}"
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
