"""Many repositories in one OCI image layout: what the embedded registry serves.

Source: OCI image specification 1.1, "Image Layout" (`oci-layout`, `index.json`, `blobs/`). A tag
is an entry of `index.json` whose `org.opencontainers.image.ref.name` is `repository:tag`, an
untagged manifest one whose name is `repository@digest`.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from pullstudy.errors import ConfigError
from pullstudy.registry.content import ContentStore

REF_NAME = "org.opencontainers.image.ref.name"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_FALLBACK_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Repository:
    """One repository: digests by tag, media types by manifest digest, digests of its blobs."""

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    tag_order: list[str] = field(default_factory=list)

    def set_tag(self, tag: str, digest: str) -> None:
        """Let a tag name a manifest."""
        if tag not in self.tags:
            bisect.insort(self.tag_order, tag)
        self.tags[tag] = digest

    def delete_tag(self, tag: str) -> None:
        """Take a tag away."""
        del self.tags[tag]
        self.tag_order.remove(tag)

    def delete_manifest(self, digest: str) -> None:
        """Take a manifest and its tags away."""
        del self.manifests[digest]
        for tag in [tag for tag, named in self.tags.items() if named == digest]:
            self.delete_tag(tag)


class ImageLayout:
    """An OCI image layout on disk, its index held in memory."""

    def __init__(self, root: Path, repository: str | None = None) -> None:
        """Open a layout, or begin an empty one; repository: takes tags that stand without one.

        Raises ConfigError when its index is wrong.
        """
        self.root = root
        self._repository = repository
        self.store = ContentStore(root / "blobs")
        self.repositories: dict[str, Repository] = {}
        root.mkdir(parents=True, exist_ok=True)
        # A layout that is only read keeps its files as they are, times included.
        self._is_saved = self._index_path.exists() and self._marker_path.exists()
        if self._index_path.exists():
            self._load()
        self.save()

    @property
    def _index_path(self) -> Path:
        return self.root / "index.json"

    @property
    def _marker_path(self) -> Path:
        return self.root / "oci-layout"

    def repository(self, name: str) -> Repository:
        """Return a repository, made when it is new."""
        return self.repositories.setdefault(name, Repository())

    def add_manifest(self, name: str, digest: str, media_type: str, content: bytes) -> None:
        """Keep a manifest whose digest was verified."""
        self.store.put(digest, content)
        self.repository(name).manifests[digest] = media_type
        self._is_saved = False

    def add_blob(self, name: str, digest: str, content: bytes) -> None:
        """Keep a blob whose digest was verified."""
        self.store.put(digest, content)
        self.repository(name).blobs.add(digest)

    def set_tag(self, name: str, tag: str, digest: str) -> None:
        """Let a tag of a repository name a manifest."""
        self.repository(name).set_tag(tag, digest)
        self._is_saved = False

    def delete_manifest(self, name: str, reference: str) -> None:
        """Delete a tag, or a manifest with all its tags."""
        repository = self.repositories[name]
        if reference in repository.tags:
            repository.delete_tag(reference)
        else:
            repository.delete_manifest(reference)
        self._is_saved = False

    def delete_blob(self, name: str, digest: str) -> None:
        """Take a blob out of a repository; the last one to hold it deletes the file."""
        self.repositories[name].blobs.discard(digest)
        if not any(digest in other.blobs for other in self.repositories.values()):
            self.store.path(digest).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the index, if it changed since the last time."""
        if self._is_saved:
            return
        index = {
            "schemaVersion": 2,
            "mediaType": _INDEX_TYPE,
            "manifests": [
                {
                    "mediaType": media_type,
                    "digest": digest,
                    "size": self.store.path(digest).stat().st_size,
                    "annotations": {REF_NAME: ref_name},
                }
                for ref_name, digest, media_type in self._entries()
            ],
        }
        self._replace(self._marker_path, {"imageLayoutVersion": "1.0.0"})
        self._replace(self._index_path, index)
        self._is_saved = True

    def _entries(self) -> Iterator[tuple[str, str, str]]:
        for name, repository in sorted(self.repositories.items()):
            tagged = set(repository.tags.values())
            for tag in repository.tag_order:
                digest = repository.tags[tag]
                yield f"{name}:{tag}", digest, repository.manifests[digest]
            for digest, media_type in sorted(repository.manifests.items()):
                if digest not in tagged:
                    yield f"{name}@{digest}", digest, media_type

    def _replace(self, path: Path, content: Mapping[str, Any]) -> None:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        partial.replace(path)

    def _load(self) -> None:
        try:
            entries = orjson.loads(self._index_path.read_bytes())["manifests"]
            for entry in entries:
                self._load_entry(entry)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
            raise ConfigError(f"{self._index_path}: not the index of an OCI image layout") from exc

    def _load_entry(self, entry: Mapping[str, Any]) -> None:
        ref_name = entry.get("annotations", {}).get(REF_NAME, "")
        digest = entry["digest"]
        name, at, _ = ref_name.partition("@")
        tag = ""
        if not at:
            name, _, tag = ref_name.rpartition(":")
            name = name or (self._repository or "" if tag else "")
        if not name:
            raise ConfigError(
                f"{self._index_path}: {ref_name!r} names no repository; write repository:tag"
            )
        repository = self.repository(name)
        self._link(repository, digest, entry.get("mediaType", _FALLBACK_TYPE))
        if tag:
            repository.set_tag(tag, digest)

    def _link(self, repository: Repository, digest: str, media_type: str) -> None:
        """Make a manifest, its children and its blobs members of a repository."""
        content = self.store.get(digest)
        if content is None:
            raise ConfigError(f"{self.root}: manifest {digest} is missing or damaged")
        repository.manifests[digest] = media_type
        manifest = orjson.loads(content)
        for child in manifest.get("manifests", ()):
            if child["digest"] in self.store:
                self._link(repository, child["digest"], child["mediaType"])
        repository.blobs.update(
            blob["digest"] for blob in blobs_of(manifest) if blob["digest"] in self.store
        )


def blobs_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The descriptors of the config and the layers of a manifest."""
    config = manifest.get("config")
    return [*([config] if config else []), *manifest.get("layers", ())]
