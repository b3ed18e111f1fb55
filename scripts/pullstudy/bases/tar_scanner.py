"""Read the headers of a tar that comes in pieces; contents are passed over, or hashed.

Nothing is kept of a content, whatever its size: the scanner holds one header, or one extended
header of bounded length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Protocol

from pullstudy.bases.entries import DEVICE, FILE, HARDLINK, SYMLINK, Entry, decode_path
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.headers import (
    BLOCK_BYTES,
    EXTENSIONS,
    GNU_SPARSE,
    LONG_LINK,
    LONG_NAME,
    PAX,
    Header,
    override,
    parse_header,
    parse_records,
)
from pullstudy.bases.limits import Budget
from pullstudy.bases.sparse import (
    SparseFile,
    check_parts,
    parse_content_map,
    parse_decimal,
    read_extension_map,
    read_header_map,
    read_pax,
)

_END = bytes(BLOCK_BYTES)
_ZEROS = bytes(1 << 20)


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


class TarScanner:
    """Collects the entries of one layer; `feed` may be called with pieces of any length.

    with_digests: hash the contents of files.
    """

    def __init__(self, budget: Budget, *, with_digests: bool) -> None:
        self.entries: list[Entry] = []
        self._budget = budget
        self._with_digests = with_digests
        self._buffer = bytearray()
        self._at = 0
        self._is_complete = False
        self._is_over = False
        # Of the next entry; what comes twice counts once, so that it cannot pile up.
        self._long_names: dict[str, bytes] = {}
        self._records: list[tuple[str, bytes]] = []
        self._steps = self._read_all()

    def feed(self, data: bytes) -> None:
        """Read more of the tar. Raises LayerFault when it is damaged, or beyond the limits."""
        self._budget.spend_bytes(len(data))
        if not self._is_over:
            del self._buffer[: self._at]
            self._at = 0
            self._buffer += data
            self._go_on()

    def finish(self) -> list[Entry]:
        """Return all entries. Raises LayerFault when the tar ended too early."""
        self._is_complete = True
        if not self._is_over:
            self._go_on()
        return self.entries

    def _go_on(self) -> None:
        self._is_over = next(self._steps, True) is True

    def _read_all(self) -> Generator[None, None, None]:
        """Read headers until the end; pauses (yields) whenever more input is needed."""
        while (block := (yield from self._take_block())) != _END:
            if not block:
                return
            yield from self._read_entry(block)
        if (yield from self._take_block()).strip(b"\0"):
            raise LayerFault("goes on after its end")

    def _take_block(self) -> Generator[None, None, bytes]:
        """Take a block; nothing where the tar ends without the two blocks that should end it."""
        while len(self._buffer) == self._at:
            if self._is_complete:
                return b""
            yield
        return (yield from self._take(BLOCK_BYTES))

    def _take(self, count: int) -> Generator[None, None, bytes]:
        while len(self._buffer) - self._at < count:
            yield from self._wait()
        data = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return data

    def _pass(self, count: int, digest: _Hash | None = None) -> Generator[None, None, None]:
        """Pass over bytes, and hash them on the way."""
        while count:
            end = min(self._at + count, len(self._buffer))
            if end == self._at:
                yield from self._wait()
                continue
            if digest is not None:
                digest.update(memoryview(self._buffer)[self._at : end])
            count -= end - self._at
            self._at = end

    def _wait(self) -> Generator[None, None, None]:
        if self._is_complete:
            raise LayerFault("its tar ends too early")
        yield

    def _read_entry(self, block: bytes) -> Generator[None, None, None]:
        header = parse_header(block)
        if header.flag in EXTENSIONS:
            self._budget.spend_entry()
            yield from self._read_extension(header)
            return
        records = [*self._records, *self._long_names.items()]
        self._records, self._long_names = [], {}
        if records:
            header = override(header, records)
        kind = header.kind
        self._budget.spend_entry(len(header.name) + len(header.link))
        content: str | None = None
        size_bytes = 0
        if kind == FILE:
            sparse = yield from self._find_sparse(block, header, records)
            if sparse.name is not None:
                header = header._replace(name=sparse.name)
            size_bytes = sparse.size_bytes
            content = yield from self._read_content(header.size_bytes, sparse)
        elif kind in (SYMLINK, HARDLINK):
            content = self._decode(header.link)
        elif kind == DEVICE:
            content = f"{header.flag.decode()} {header.device}"
        path = self._decode(header.name)
        self.entries.append(
            Entry(path, kind, size_bytes, content, header.mode, header.uid, header.gid)
        )

    def _read_extension(self, header: Header) -> Generator[None, None, None]:
        limit = self._budget.limits.header_bytes_max
        if header.size_bytes > limit:
            raise LayerFault(f"has an extended header of {header.size_bytes} bytes")
        content = yield from self._take(header.size_bytes)
        yield from self._pass(-header.size_bytes % BLOCK_BYTES)
        if header.flag == LONG_NAME:
            self._long_names["path"] = content.partition(b"\0")[0]
        elif header.flag == LONG_LINK:
            self._long_names["linkpath"] = content.partition(b"\0")[0]
        elif header.flag == PAX:
            self._records = parse_records(content)
        # A global header is for all that follow; runtimes ignore it.

    def _find_sparse(
        self, block: bytes, header: Header, records: list[tuple[str, bytes]]
    ) -> Generator[None, None, SparseFile]:
        """Find out how large a file is and what of it is stored."""
        sparse = read_pax(records) if records else None
        if header.flag == GNU_SPARSE:
            size_bytes, parts, has_more = read_header_map(block)
            while has_more:
                self._budget.spend_entry()
                more, has_more = read_extension_map((yield from self._take(BLOCK_BYTES)))
                parts += more
            sparse = SparseFile(size_bytes, tuple(parts))
        if sparse is None:
            sparse = SparseFile(header.size_bytes)
        if max(sparse.size_bytes, header.size_bytes) > self._budget.limits.unpacked_bytes_max:
            name = header.name.decode("utf-8", "replace")[:100]
            raise LayerFault(f"claims {sparse.size_bytes} bytes for the file {name!r}")
        self._budget.spend_bytes(max(0, sparse.size_bytes - header.size_bytes))
        return sparse

    def _read_content(
        self, stored_bytes: int, sparse: SparseFile
    ) -> Generator[None, None, str | None]:
        """Pass over the content of a file; returns its digest where it is wanted."""
        padding_bytes = -stored_bytes % BLOCK_BYTES
        if not self._with_digests:
            yield from self._pass(stored_bytes + padding_bytes)
            return None
        digest = hashlib.sha256()
        if sparse.in_content:
            text = yield from self._take_map(stored_bytes)
            sparse = sparse._replace(parts=parse_content_map(text))
            stored_bytes -= len(text)
        if sparse.parts or sparse.size_bytes != stored_bytes:
            check_parts(sparse, stored_bytes)
            yield from self._read_parts(sparse, digest)
        else:
            yield from self._pass(stored_bytes, digest)
        yield from self._pass(padding_bytes)
        return f"sha256:{digest.hexdigest()}"

    def _take_map(self, stored_bytes: int) -> Generator[None, None, bytes]:
        """Take the blocks that hold the map of a sparse file."""
        text = bytearray()
        lines, wanted = 0, 1
        while lines < wanted:
            if len(text) >= min(stored_bytes, self._budget.limits.header_bytes_max):
                raise LayerFault("has a sparse file with a broken map")
            block = yield from self._take(BLOCK_BYTES)
            text += block
            lines += block.count(b"\n")
            if wanted == 1 and lines:
                wanted = 2 * parse_decimal(bytes(text.partition(b"\n")[0])) + 1
        return bytes(text)

    def _read_parts(self, sparse: SparseFile, digest: _Hash) -> Generator[None, None, None]:
        at = 0
        for part in sparse.parts:
            self._hash_zeros(part.offset - at, digest)
            yield from self._pass(part.size_bytes, digest)
            at = part.offset + part.size_bytes
        self._hash_zeros(sparse.size_bytes - at, digest)

    def _hash_zeros(self, count: int, digest: _Hash) -> None:
        for left in range(count, 0, -len(_ZEROS)):
            self._budget.check_time()
            digest.update(_ZEROS[: min(left, len(_ZEROS))])

    def _decode(self, path: bytes) -> str:
        return decode_path(path, self._budget.limits.path_bytes_max)
