"""Turn layer and Dockerfile text into documents: token sequences, as table `documents`.

The tokens follow the paper: some characters become spaces, others go, everything is lower case,
and tokens of one character (noise) and of 40 or 64 (commits, digests) are dropped. Plain
`str.translate` and `str.split` do this at some 45 MB/s, which is two to three times as fast as
the same in DuckDB's or Arrow's string functions. Everything streams: no corpus is held in memory.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from pullstudy.errors import TableError
from pullstudy.query import Views, connect
from pullstudy.tables import TableWriter

# Lengths of single characters, SHA-1 commits and SHA-256 digests.
DROPPED_LENGTHS = frozenset({1, 40, 64})
BATCH_ROWS = 8192
DIGEST_BYTES = 16


@dataclass(frozen=True)
class TokenRules:
    """Which characters separate tokens and which vanish; upper case never matters."""

    separators: str
    removed: str = ""

    @functools.cached_property
    def translation(self) -> dict[int, str | None]:
        """The rules as `str.translate` takes them."""
        return {ord(c): " " for c in self.separators} | {ord(c): None for c in self.removed}


# As the paper describes them.
DESCRIBED_RULES = TokenRules(separators="'\";:=_-\n\t#.*&", removed="<>{}[]()$/")
# As its program applied them: what is "removed" becomes a space as well, and so does the pipe.
PROGRAM_RULES = TokenRules(separators=DESCRIBED_RULES.separators + DESCRIBED_RULES.removed + "|")
# Its program for Dockerfiles separates at one character more.
PROGRAM_DOCKERFILE_RULES = TokenRules(separators=PROGRAM_RULES.separators + "@")


class Document(NamedTuple):
    """A row of table `documents` before it has a number; `text` holds the tokens."""

    source_id: int
    history_number: int | None
    text: str
    copies: int = 1


def tokenise(text: str, rules: TokenRules = DESCRIBED_RULES) -> list[str]:
    """Split a text into its tokens."""
    words = text.translate(rules.translation).lower().split()
    return [word for word in words if len(word) not in DROPPED_LENGTHS]


def write_layer_documents(
    history: Path,
    path: Path,
    *,
    cumulative: bool = False,
    layers_only: bool = False,
    unique: bool = False,
    rules: TokenRules = DESCRIBED_RULES,
) -> int:
    """Write one document per history line that records its command; return how many.

    history: table `history`. `layers_only` leaves out lines that made no layer. `unique` keeps the
    first of equal texts and counts its copies. With `cumulative` a document holds the tokens of
    all lines of its image so far: the paper's "layers", whose token list was never reset.
    """

    def read() -> Iterator[Document]:
        documents = _layer_documents(history, layers_only, rules)
        return _accumulate(documents) if cumulative else documents

    return _write(path, _keep_first(read) if unique else read())


def write_image_documents(history: Path, path: Path, *, rules: TokenRules = DESCRIBED_RULES) -> int:
    """Write one document per image with a history: the tokens of all its lines; return how many.

    history: table `history`. An image whose lines record no command has an empty document.
    """
    query = """
        SELECT image_id, history_number, coalesce(created_by, '') FROM history
        ORDER BY image_id, history_number
    """
    return _write(path, _join_images(_tokenised(query, {"history": [history]}, rules)))


def write_dockerfile_documents(
    dockerfiles: Path,
    path: Path,
    *,
    instructions: Path | None = None,
    rules: TokenRules = DESCRIBED_RULES,
) -> int:
    """Write one document per Dockerfile; return how many.

    dockerfiles: table `dockerfiles`. With table `instructions` the text is what the parser read;
    a file that it refused is empty. Without, it is the whole file with its comments: the paper's.
    """
    views = {"dockerfiles": [dockerfiles]}
    query = "SELECT dockerfile_id, NULL, content FROM dockerfiles ORDER BY dockerfile_id"
    if instructions is not None:
        views["instructions"] = [instructions]
        query = """
            WITH texts AS (
                SELECT dockerfile_id, string_agg(
                    concat_ws(
                        ' ', keyword, array_to_string(flags, ' '), array_to_string(arguments, ' ')
                    ), chr(10) ORDER BY instruction_number
                ) AS content
                FROM instructions GROUP BY dockerfile_id
            )
            SELECT d.dockerfile_id, NULL, coalesce(t.content, '')
            FROM dockerfiles AS d LEFT JOIN texts AS t USING (dockerfile_id)
            ORDER BY d.dockerfile_id
        """
    return _write(path, _tokenised(query, views, rules))


def _layer_documents(history: Path, layers_only: bool, rules: TokenRules) -> Iterator[Document]:
    query = f"""
        SELECT image_id, history_number, created_by FROM history
        WHERE created_by IS NOT NULL {"AND NOT is_empty_layer" if layers_only else ""}
        ORDER BY image_id, history_number
    """
    return _tokenised(query, {"history": [history]}, rules)


def _tokenised(query: str, views: Views, rules: TokenRules) -> Iterator[Document]:
    # Most lines of a registry repeat those of a base image.
    @functools.lru_cache(maxsize=1 << 14)
    def join(text: str) -> str:
        return " ".join(tokenise(text, rules))

    with _open_batches(query, views) as batches:
        for batch in batches:
            columns = (column.to_pylist() for column in batch.columns)
            for source_id, history_number, text in zip(*columns, strict=True):
                yield Document(source_id, history_number, join(text))


@contextmanager
def _open_batches(query: str, views: Views) -> Iterator[pa.RecordBatchReader]:
    try:
        with connect(views) as connection:
            yield connection.sql(query).to_arrow_reader(BATCH_ROWS)
    except duckdb.Error as exc:
        names = ", ".join(str(path) for paths in views.values() for path in paths)
        message = str(exc).splitlines()[0]
        raise TableError(f"{names}: cannot be read as tables: {message}") from exc


def _accumulate(documents: Iterator[Document]) -> Iterator[Document]:
    source_id, text = -1, ""
    for document in documents:
        if document.source_id != source_id:
            source_id, text = document.source_id, ""
        text = f"{text} {document.text}" if text and document.text else text or document.text
        yield document._replace(text=text)


def _join_images(lines: Iterator[Document]) -> Iterator[Document]:
    for image_id, of_image in groupby(lines, key=attrgetter("source_id")):
        yield Document(image_id, None, " ".join(line.text for line in of_image if line.text))


def _keep_first(read: Callable[[], Iterator[Document]]) -> Iterator[Document]:
    # Read twice: keeping a digest per text is cheap, keeping the texts is not.
    copies = Counter(_digest(document.text) for document in read())
    for document in read():
        count = copies.pop(_digest(document.text), 0)
        if count:
            yield document._replace(copies=count)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def _write(path: Path, documents: Iterator[Document]) -> int:
    written = 0
    with TableWriter("documents", path) as writer:
        for batch in _batched(documents):
            writer.write(
                {
                    "document_id": range(written, written + len(batch)),
                    "source_id": [document.source_id for document in batch],
                    "history_number": [document.history_number for document in batch],
                    "copies": [document.copies for document in batch],
                    "token_count": [_count_tokens(document.text) for document in batch],
                    "tokens": [document.text for document in batch],
                }
            )
            written += len(batch)
    return written


def _batched(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _count_tokens(text: str) -> int:
    return text.count(" ") + 1 if text else 0
