"""Layers in the eStargz format, which the stargz snapshotter reads file by file.

Every chunk of a file is a gzip member of its own; a table of contents (TOC) at the end, itself a
file of the tar, tells where each one is, and a footer of fixed length where the TOC is. To
everything else the layer is an ordinary gzip-compressed tar.

Format: stargz-snapshotter, docs/estargz.md (eStargz version 0.1).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from pullstudy.craft import tar_blocks
from pullstudy.craft.content import (
    ALL_RANDOM,
    STRIPE_BYTES,
    Bytes,
    Kind,
    Mix,
    Piece,
    Rings,
    literal,
)
from pullstudy.craft.gzip_framing import GzipFraming
from pullstudy.craft.layers import (
    Blocks,
    Entry,
    Layer,
    LayerTooLarge,
    Sizes,
    content_bytes,
    given_file,
)

# About the 4 MiB of the format's own tools, in whole stripes.
CHUNK_BYTES = 4 * STRIPE_BYTES
# About 200 GB in one layer: the table of contents has to fit into the memory of its readers.
_CHUNK_COUNT_MAX = 50_000
_TOC_NAME = "stargz.index.json"
_TOC_DIGEST_ANNOTATION = "containerd.io/snapshot/stargz/toc.digest"
_UNCOMPRESSED_ANNOTATION = "io.containers.estargz.uncompressed-size"
# Without it a snapshotter fetches the first megabytes of every layer when it mounts it.
_NO_PREFETCH = given_file(".no.prefetch.landmark", b"\x0f", 0o644)
_EPOCH = "1970-01-01T00:00:00Z"
# As long as a real one.
_NO_DIGEST = f"sha256:{'0' * 64}"
_NOTHING: Bytes = np.empty(0, np.uint8)


@dataclass(frozen=True)
class EstargzFormat:
    """A tar of many gzip members, with its table of contents."""

    identity = "estargz"
    media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
    # The member of the TOC takes it.
    padding_bytes = GzipFraming.padding_bytes
    is_exact = True

    def reserve_bytes(self, target_bytes: int) -> int:
        """The least padding, which is always there."""
        del target_bytes
        return self.padding_bytes.start

    def sizes(self, entries: tuple[Entry, ...], mix: Mix) -> Sizes:
        """Compute the sizes without padding: lay the layer out without its bytes.

        Raises LayerTooLarge when it has more chunks than a table of contents should.
        """
        chunk_count = sum(-(-entry.size_bytes // CHUNK_BYTES) for entry in entries)
        if chunk_count > _CHUNK_COUNT_MAX:
            raise LayerTooLarge(
                f"an eStargz layer would unpack to {chunk_count * CHUNK_BYTES:,} bytes, "
                f"{_CHUNK_COUNT_MAX * CHUNK_BYTES:,} are the most; make it smaller"
            )
        layout = _Layout()
        for entry in (_NO_PREFETCH, *entries):
            layout.add_header(entry)
            for number, size in enumerate(_chunk_sizes(entry.size_bytes)):
                entry_mix = mix if entry.key else ALL_RANDOM
                content = content_bytes(GzipFraming, entry_mix, size)
                layout.add_chunk(entry, number, size, content)
            layout.add_padding(entry)
        toc = len(layout.toc())
        tail = _raw_bytes(tar_blocks.BLOCK_BYTES) + _raw_bytes(toc)
        tail += _raw_bytes(tar_blocks.padding_bytes(toc)) + _raw_bytes(2 * tar_blocks.BLOCK_BYTES)
        uncompressed = layout.plain_bytes + 3 * tar_blocks.BLOCK_BYTES
        return Sizes(
            layout.offset + 2 * GzipFraming.envelope_bytes + tail + len(_footer(0)),
            uncompressed + toc + tar_blocks.padding_bytes(toc),
        )

    def blocks(self, layer: Layer, annotations: dict[str, str], rings: Rings) -> Blocks:
        """Generate the layer; the digest of its TOC becomes an annotation."""
        writer = _Writer(rings)
        for entry in (_NO_PREFETCH, *layer.entries):
            yield from writer.write_entry(entry, layer.order.mix)
        toc = writer.layout.toc()
        toc_offset = writer.layout.offset + GzipFraming.envelope_bytes
        yield from writer.reopen(layer.padding_bytes)
        for piece in (
            literal(tar_blocks.file_header(_TOC_NAME, len(toc), 0o644)),
            literal(toc),
            literal(bytes(tar_blocks.padding_bytes(len(toc)))),
            literal(tar_blocks.END_OF_ARCHIVE),
        ):
            yield writer.encode(piece)
        yield from writer.close()
        yield _NOTHING, _as_bytes(_footer(toc_offset))
        annotations[_TOC_DIGEST_ANNOTATION] = f"sha256:{hashlib.sha256(toc).hexdigest()}"
        annotations[_UNCOMPRESSED_ANNOTATION] = str(layer.uncompressed_bytes)


@dataclass
class _Layout:
    """Where everything stands; `offset` counts the members that are complete or begun.

    The envelope of the member that is open is not in `offset`, its content is.
    """

    offset: int = 0
    plain_bytes: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)

    def add_header(self, entry: Entry) -> None:
        """Put a tar header into the open member."""
        size = tar_blocks.header_bytes(entry.size_bytes)
        self.plain_bytes += size
        self.offset += _raw_bytes(size)

    def add_chunk(self, entry: Entry, number: int, size_bytes: int, content: int) -> None:
        """Close the open member and put a chunk of a file into a new one."""
        self.offset += GzipFraming.envelope_bytes
        row: dict[str, Any] = {"name": entry.path, "type": "chunk"}
        if number == 0:
            row |= {"type": "reg", "size": entry.size_bytes, "mode": entry.mode}
            row |= {"modtime": _EPOCH, "digest": _NO_DIGEST}
        else:
            row["chunkOffset"] = number * CHUNK_BYTES
        if size_bytes == CHUNK_BYTES:
            row["chunkSize"] = size_bytes
        self.entries.append(row | {"offset": self.offset, "chunkDigest": _NO_DIGEST})
        self.plain_bytes += size_bytes
        self.offset += content

    def add_padding(self, entry: Entry) -> None:
        """Fill the last tar block of a file."""
        size = tar_blocks.padding_bytes(entry.size_bytes)
        self.plain_bytes += size
        self.offset += _raw_bytes(size)

    def toc(self) -> bytes:
        """Write the table of contents."""
        return orjson.dumps({"version": 1, "entries": self.entries})


class _Writer:
    """Writes the members of a layer one after the other, and keeps the layout along with them."""

    def __init__(self, rings: Rings) -> None:
        self.layout = _Layout()
        self._rings = rings
        self._framing: GzipFraming | None = None

    def write_entry(self, entry: Entry, mix: Mix) -> Blocks:
        """Write a file: its header, its chunks, its padding."""
        if self._framing is None:
            yield from self.reopen()
        self.layout.add_header(entry)
        yield self.encode(literal(tar_blocks.file_header(entry.path, entry.size_bytes, entry.mode)))
        whole = hashlib.sha256()
        first = len(self.layout.entries)
        pieces = entry.pieces(mix, self._rings.plain)
        for number, size in enumerate(_chunk_sizes(entry.size_bytes)):
            content = content_bytes(GzipFraming, mix if entry.key else ALL_RANDOM, size)
            self.layout.add_chunk(entry, number, size, content)
            chunk = hashlib.sha256()
            yield from self.reopen()
            for piece in _take(pieces, size):
                plain, framed = self.encode(piece)
                chunk.update(plain.data)
                whole.update(plain.data)
                yield plain, framed
            self.layout.entries[-1]["chunkDigest"] = f"sha256:{chunk.hexdigest()}"
        self.layout.entries[first]["digest"] = f"sha256:{whole.hexdigest()}"
        padding = tar_blocks.padding_bytes(entry.size_bytes)
        self.layout.add_padding(entry)
        yield self.encode(literal(bytes(padding)))

    def encode(self, piece: Piece) -> tuple[Bytes, Bytes]:
        """Code a piece in the open member."""
        if self._framing is None:
            raise ValueError("no gzip member is open")
        plain = piece.plain()
        return plain, self._framing.encode(piece, plain)

    def reopen(self, padding_bytes: int = 0) -> Blocks:
        """Begin a new member."""
        yield from self.close()
        self._framing = GzipFraming(self._rings.coded)
        yield _NOTHING, _as_bytes(self._framing.begin(padding_bytes))

    def close(self) -> Blocks:
        """End the open member, if there is one."""
        if self._framing is not None:
            yield _NOTHING, _as_bytes(self._framing.end())
            self._framing = None


def _chunk_sizes(size_bytes: int) -> Sequence[int]:
    whole, rest = divmod(size_bytes, CHUNK_BYTES)
    return [*([CHUNK_BYTES] * whole), *([rest] if rest else [])]


def _take(pieces: Iterator[Piece], size_bytes: int) -> Iterator[Piece]:
    """Take pieces of a chunk: it ends where a stripe does."""
    while size_bytes:
        piece = next(pieces)
        size_bytes -= piece.size_bytes
        yield piece


def _raw_bytes(size_bytes: int) -> int:
    return GzipFraming.piece_bytes(Kind.RAW, size_bytes)


def _footer(toc_offset: int) -> bytes:
    """An empty member of 51 bytes whose extra field tells where the TOC starts."""
    subfield = b"%016xSTARGZ" % toc_offset
    extra = b"SG" + struct.pack("<H", len(subfield)) + subfield
    header = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff" + struct.pack("<H", len(extra)) + extra
    return header + b"\x01\x00\x00\xff\xff" + bytes(8)


def _as_bytes(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)
