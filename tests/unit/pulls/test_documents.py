import json

import pytest

from pullstudy.pulls.documents import kind_of, split_content

EVENT = {"metadata": {"name": "a.1"}, "reason": "Pulled", "involvedObject": {"kind": "Pod"}}
LINE = json.dumps(EVENT).encode()
LIST = {"apiVersion": "v1", "kind": "List", "items": [EVENT, EVENT, EVENT]}


def decoded(documents: list[object]) -> list[object]:
    return [json.loads(bytes(document)) for document in documents]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "content",
    [
        LINE + b"\n" + LINE,
        LINE[:40] + b"\n" + LINE + b"\n",
        b"E1110 http2: server sent GOAWAY\n" + LINE,
        b"Error from server (BadRequest): container is waiting to start\n",
        b"\n\n" + LINE + b"\n" + LINE + b"\n\n",
    ],
)
def test_lines_are_left_to_the_caller(content: bytes) -> None:
    assert split_content(content) == ("lines", [])


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(LIST).encode(),
        json.dumps(LIST, indent=4).encode(),
        json.dumps([EVENT] * 3).encode(),
        json.dumps([EVENT] * 3, indent=1).encode(),
        b"\n".join([json.dumps(EVENT, indent=2).encode()] * 3),
        json.dumps({"items": [EVENT, EVENT]}, indent=2).encode()
        + json.dumps(LIST["items"][0:1], indent=2).encode(),
    ],
    ids=["list", "indented", "array", "indented-array", "one-after-another", "two-lists"],
)
def test_objects_come_out_one_by_one(content: bytes) -> None:
    shape, documents = split_content(content)
    assert shape == "objects"
    assert decoded([*documents]) == [EVENT] * 3


def test_one_event_alone_is_an_object() -> None:
    shape, documents = split_content(LINE)
    assert (shape, decoded([*documents])) == ("objects", [EVENT])


@pytest.mark.parametrize("indent", [None, 4])
def test_a_list_whose_end_is_missing_gives_what_is_whole(indent: int | None) -> None:
    whole = json.dumps(LIST, indent=indent).encode()
    shape, documents = split_content(whole[: len(whole) - 60])
    assert shape == "objects"
    assert decoded([*documents[:-1]]) == [EVENT, EVENT]
    with pytest.raises(json.JSONDecodeError):
        json.loads(bytes(documents[-1]))


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (json.dumps({"tags": ["1"], "manifests": {}, "configs": {}}).encode(), "manifests"),
        (json.dumps({"pod-1": {"events": {"pulled": {}}}}, indent=4).encode(), "pod_times"),
        (json.dumps({"tags": ["9-layers"], "uri": "ghcr.io/a/b"}).encode(), "other"),
        (b'{"a": 1}', "other"),
        (b'["busybox:1", "alpine:3"]', "other"),
    ],
)
def test_whole_documents_are_told_apart(content: bytes, shape: str) -> None:
    assert split_content(content) == (shape, [])


def test_the_kind_of_an_object() -> None:
    assert kind_of(b'{"kind": "Node"}') == "Node"
    assert kind_of(b'{"kind": 3}') is None
    assert kind_of(b"{") is None
