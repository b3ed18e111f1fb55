"""What the tests of crafting share: small studies, and readers that know nothing of our code."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from pullstudy.craft.layers import Layer
from pullstudy.craft.stream import Blob, LayerStream, Watch
from pullstudy.craft.study import Study, load_study


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def decompress(data: bytes) -> bytes:
    """Read gzip (all members), Zstandard (all frames), or nothing of both, by the magic number."""
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(data)
    plain = b""
    while data.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(wbits=31)
        plain += member.decompress(data)
        data = member.unused_data
    return plain + data


@dataclass
class MadeLayer:
    """A layer as somebody finds it who has only its bytes."""

    blob: Blob
    data: bytes
    plain: bytes
    files: dict[str, bytes]


def make_layer(layer: Layer) -> MadeLayer:
    stream = LayerStream(layer, Watch())
    data = b"".join(bytes(block) for block in stream)
    plain = decompress(data)
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        files = {}
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            files[member.name] = content.read()
    return MadeLayer(stream.blob, data, plain, files)


WriteStudy = Callable[[str], Path]
MakeStudy = Callable[[str], Study]


@pytest.fixture
def write_study(tmp_path: Path) -> WriteStudy:
    """Write a study file from a few lines of YAML."""

    def write(text: str) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def make_study(write_study: WriteStudy) -> MakeStudy:
    """Load a study from a few lines of YAML."""
    return lambda text: load_study(write_study(text))
