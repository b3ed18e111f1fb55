"""Images made by hand, and where they can be read from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import settings

from pullstudy.bases.database import BaseDatabase
from pullstudy.bases.limits import Budget, ReadLimits
from pullstudy.registry.layout import ImageLayout
from tests.conftest import ROOT, skip_or_fail

# Examples are short, the machine may be busy with something else.
patient = settings(deadline=None)

OCI = "application/vnd.oci.image"
DATABASE = ROOT.parent / "shared/data/shpc-guts-798a664.tar.gz"
REF_NAME = "org.opencontainers.image.ref.name"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **more: Any
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for key, value in more.items():
        setattr(info, key, value)
    return info


def symlink(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.SYMTYPE, target, mode=0o777)


def hardlink(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.LNKTYPE, target)


def folder(name: str) -> tarfile.TarInfo:
    return member(name, tarfile.DIRTYPE, mode=0o755)


def make_tar(
    members: Sequence[tarfile.TarInfo | tuple[str, bytes]], format_: int = tarfile.PAX_FORMAT
) -> bytes:
    """Make a tar of members; (name, content) is a regular file."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=format_) as tar:
        for each in members:
            if isinstance(each, tuple):
                info = member(each[0], mode=0o644, size=len(each[1]))
                tar.addfile(info, io.BytesIO(each[1]))
            else:
                tar.addfile(each)
    return output.getvalue()


def compress(tar: bytes, how: str = "gzip") -> bytes:
    if how == "zstd":
        return zstandard.ZstdCompressor().compress(tar)
    return gzip.compress(tar, mtime=0) if how == "gzip" else tar


@dataclass
class MadeLayer:
    """The bytes of a layer as they lie in a registry."""

    blob: bytes
    diff_id: str = "sha256:" + "0" * 64
    annotations: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int | None = None


def layer_of(*members: tarfile.TarInfo | tuple[str, bytes], how: str = "gzip") -> MadeLayer:
    tar = make_tar(members)
    return MadeLayer(compress(tar, how), digest_of(tar))


def make_toc_tar(toc: bytes, name: str = "stargz.index.json") -> bytes:
    return make_tar([(name, toc)])


def make_estargz(files: Sequence[tuple[str, bytes]], *, with_digests: bool = True) -> MadeLayer:
    """Make an eStargz layer of files, by the letter of its specification."""
    blob, plain, entries = b"", b"", []
    for path, content in [(".no.prefetch.landmark", b"\x0f"), *files]:
        header, padding = member(path, mode=0o644, size=len(content)).tobuf(), -len(content) % 512
        blob += gzip.compress(header, mtime=0)
        entry = {"name": path, "type": "reg", "size": len(content), "mode": 0o644}
        if content:
            digests = {"chunkDigest": digest_of(content)}
            digests |= {"digest": digest_of(content)} if with_digests else {}
            entry |= {"offset": len(blob), **digests}
            blob += gzip.compress(content, mtime=0)
        blob += gzip.compress(bytes(padding), mtime=0)
        plain += header + content + bytes(padding)
        entries.append(entry)
    toc = json.dumps({"version": 1, "entries": entries}).encode()
    footer = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + b"\x1a\0SG\x16\0"
    footer += b"%016xSTARGZ" % len(blob) + b"\x01\0\0\xff\xff" + bytes(8)
    blob += gzip.compress(make_toc_tar(toc), mtime=0) + footer
    annotations = {"containerd.io/snapshot/stargz/toc.digest": digest_of(toc)}
    return MadeLayer(blob, digest_of(plain + make_toc_tar(toc)), annotations)


@dataclass
class MadeImage:
    """The documents of an image."""

    manifest: bytes
    config: bytes
    layers: Sequence[MadeLayer]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def make_image(*layers: MadeLayer, **more: Any) -> MadeImage:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "COPY a b"}, {"empty_layer": True}],
    } | more
    content = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": {
            "mediaType": f"{OCI}.config.v1+json",
            "digest": digest_of(content),
            "size": len(content),
        },
        "layers": [
            {
                "mediaType": f"{OCI}.layer.v1.tar+gzip",
                "digest": digest_of(layer.blob),
                "size": len(layer.blob) if layer.size_bytes is None else layer.size_bytes,
                "annotations": dict(layer.annotations),
            }
            for layer in layers
        ],
    }
    return MadeImage(json.dumps(manifest).encode(), content, layers)


def write_blob(root: Path, content: bytes) -> str:
    digest = digest_of(content)
    path = root / "blobs" / digest.replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def write_layout(root: Path, images: Mapping[str, MadeImage]) -> None:
    """Write an OCI image layout of images by tag."""
    entries = []
    for tag, image in images.items():
        for layer in image.layers:
            write_blob(root, layer.blob)
        write_blob(root, image.config)
        entries.append(
            {
                "mediaType": f"{OCI}.manifest.v1+json",
                "digest": write_blob(root, image.manifest),
                "size": len(image.manifest),
                "annotations": {REF_NAME: tag},
            }
        )
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def add_to_registry(root: Path, repository: str, images: Mapping[str, MadeImage]) -> None:
    """Put images into the layout that the embedded registry serves."""
    layout = ImageLayout(root)
    for tag, image in images.items():
        for blob in (image.config, *(layer.blob for layer in image.layers)):
            layout.add_blob(repository, digest_of(blob), blob)
        layout.add_manifest(repository, image.digest, f"{OCI}.manifest.v1+json", image.manifest)
        layout.set_tag(repository, tag, image.digest)
    layout.save()


def make_budget(**limits: Any) -> Budget:
    return Budget(ReadLimits(**limits))


def make_database(**paths: set[str]) -> BaseDatabase:
    """A database of bases by name, `debian_12` for debian:12."""
    named = {name.replace("_", ":"): frozenset(found) for name, found in paths.items()}
    return BaseDatabase(named, "0" * 64)


@pytest.fixture(scope="session")
def guts() -> Path:
    """The public database of base images, as it is handed to developers."""
    path = Path(os.environ.get("PULLSTUDY_GUTS", DATABASE))
    if not path.exists():
        skip_or_fail(f"the database of base images is not at {path}; set PULLSTUDY_GUTS")
    return path
