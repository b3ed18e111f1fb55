"""Split a file into its JSON documents, whatever put them there.

Files of pull runs are JSON lines mixed with log lines, one list (`kubectl get -o json`), objects
printed one after another (`kubectl get --watch -o json`), one mapping, or an error message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

import msgspec

Document = bytes | msgspec.Raw
Shape = Literal["empty", "lines", "objects", "manifests", "pod_times", "other"]


class _Keys(msgspec.Struct, gc=False):
    """The keys that tell one kind of document from another."""

    items: msgspec.Raw = msgspec.Raw()
    manifests: msgspec.Raw = msgspec.Raw()
    tags: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()


class _Kind(msgspec.Struct, gc=False):
    kind: str | None = None


class _PodTimes(msgspec.Struct, gc=False):
    events: dict[str, msgspec.Raw]


_decode_keys = msgspec.json.Decoder(_Keys).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_pod_times = msgspec.json.Decoder(dict[str, _PodTimes]).decode


def split_content(content: bytes) -> tuple[Shape, list[Document]]:
    """Tell how a file is written, and return its objects where it holds several.

    `lines` are documents and log lines, one a line, and are left to the caller; `objects` stand in
    a list, in one whose end is missing, or one after another over several lines; what follows the
    last whole one comes out as it stands. The other shapes are one document.
    """
    text = content.lstrip()
    if not text:
        return "empty", []
    if not text.startswith((b"{", b"[")):
        return "lines", []
    end = text.find(b"\n")
    has_lines = end >= 0 and not text[end:].isspace()
    if has_lines and _keys_of(text[:end]) is not None:
        return "lines", []
    keys = _keys_of(text)
    if keys is not None:
        return _shape_of(keys, text)
    items = _items_of(text)
    if items is not None:
        return ("objects", items) if all(map(_is_object, items)) else ("other", [])
    if has_lines and text[:end].strip() not in (b"{", b"["):
        return "lines", []
    return "objects", list(_scan_objects(text.decode(errors="replace")))


def kind_of(document: Document) -> str | None:
    """Name the kind of a Kubernetes object: Event, Node, …; None: it does not say."""
    try:
        return _decode_kind(document).kind
    except msgspec.DecodeError:
        return None


def _shape_of(keys: _Keys, content: bytes) -> tuple[Shape, list[Document]]:
    items = _items_of(keys.items)
    if items is not None:
        return "objects", items
    if _is_there(keys.manifests) and _is_there(keys.tags):
        return "manifests", []
    if _is_there(keys.metadata):
        return "objects", [content]
    try:
        _decode_pod_times(content)
    except msgspec.DecodeError:
        return "other", []
    return "pod_times", []


def _keys_of(content: bytes) -> _Keys | None:
    try:
        return _decode_keys(content)
    except msgspec.DecodeError:
        return None


def _items_of(content: Document) -> list[Document] | None:
    try:
        return [*_decode_items(content)]
    except msgspec.DecodeError:
        return None


def _is_object(item: Document) -> bool:
    return memoryview(item)[:1] == b"{"


def _is_there(value: msgspec.Raw) -> bool:
    return memoryview(value).nbytes > 0


def _scan_objects(text: str) -> Iterator[Document]:
    decoder = json.JSONDecoder()
    position = text.find("{")
    in_list = False
    while position >= 0:
        try:
            _, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError:
            items = text.find('"items"', position)
            if in_list or items < 0:
                yield text[position:].encode()
                return
            in_list = True
            position = text.find("{", items)
            continue
        found = text[position:end].encode()
        keys = _keys_of(found)
        yield from (None if keys is None else _items_of(keys.items)) or [found]
        position = text.find("{", end)
