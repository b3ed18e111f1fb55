"""Decoding of manifests and configs against the json module and the published forms."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.registry.documents import (
    UnreadableDocument,
    classify_manifest,
    decode_config,
    decode_manifest,
    decode_repository,
)

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def make_manifest(config: str | None = DOCKER_CONFIG, *layers: str | None) -> dict[str, Any]:
    described = {} if config is None else {"mediaType": config}
    return {
        "schemaVersion": 2,
        "config": {**described, "digest": "sha256:c"},
        "layers": [
            {"digest": f"sha256:{n}", "size": n, **({"mediaType": kind} if kind else {})}
            for n, kind in enumerate(layers)
        ],
    }


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        (make_manifest(DOCKER_CONFIG, DOCKER_LAYER), "image"),
        (make_manifest(OCI_CONFIG, OCI_LAYER), "image"),
        (make_manifest(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+zstd"), "image"),
        (make_manifest("application/octet-stream", DOCKER_LAYER), "image"),
        (make_manifest(None, None), "image"),
        (make_manifest(DOCKER_CONFIG), "image"),
        ({**make_manifest(), "layers": None}, "image"),
        (
            make_manifest(
                DOCKER_CONFIG, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            ),
            "image",
        ),
        (make_manifest(OCI_CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json"), "artifact"),
        (make_manifest(OCI_CONFIG, "application/vnd.in-toto+json"), "artifact"),
        (make_manifest("application/vnd.cncf.helm.config.v1+json", OCI_LAYER), "artifact"),
        ({"schemaVersion": 2, "manifests": []}, "index"),
        ({"schemaVersion": 2, "manifests": [{"digest": "sha256:a"}], "tag": "x"}, "index"),
        ({"schemaVersion": 1, "fsLayers": [{"blobSum": "sha256:a"}], "history": []}, "schema1"),
        ({"artifactType": "application/x", "blobs": []}, "artifact"),
        ({"artifactType": "application/x", "manifests": []}, "artifact"),
        ({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, "unknown"),
        ({"manifests": None}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_manifests_are_classified_by_their_form(manifest: dict[str, Any], kind: str) -> None:
    assert classify_manifest(decode_manifest(json.dumps(manifest).encode())) == kind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"layers": [{"size": 1}]}',
        b'{"layers": [{"digest": "sha256:a"}]}',
        b'{"layers": [{"digest": "sha256:a", "size": -1}]}',
        b'{"layers": [{"digest": "sha256:a", "size": 9223372036854775807}]}',
        b'{"layers": [{"digest": "sha256:a", "size": "1"}]}',
        b'{"layers": ',
        b'{"x": ' + b"[" * 100_000,
    ],
)
def test_an_unusable_manifest_is_refused_with_its_reason(data: bytes) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        decode_manifest(data)
    assert caught.value.reason == "invalid_manifest"
    assert caught.value.detail


def test_a_config_keeps_what_is_null_and_skips_what_is_unknown() -> None:
    config = decode_config(
        b'{"os": "linux", "rootfS": 1, "created": null,'
        b' "history": [{"created": "x"}, {"created_by": null, "empty_layer": null}]}'
    )
    assert (config.os, config.created, config.architecture) == ("linux", None, None)
    assert [entry.created_by for entry in config.history or []] == [None, None]
    with pytest.raises(UnreadableDocument, match=r"^invalid_config: .*history"):
        decode_config(b'{"history": [1]}')


def test_texts_that_are_no_unicode_are_mended() -> None:
    """Go's decoder, and so every registry and runtime, puts U+FFFD in their place."""
    assert decode_manifest(b'{"mediaType": "a\xff"}').media_type == "a\ufffd"
    config = decode_config(b'\xef\xbb\xbf{"os": "linux", "history": [{"created_by": "a\\udc80"}]}')
    assert (config.os, [h.created_by for h in config.history or []]) == ("linux", ["a?"])


def encode(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_one_bad_entry_does_not_take_the_others_with_it() -> None:
    good = make_manifest(DOCKER_CONFIG, DOCKER_LAYER)
    document, rejections = decode_repository(
        encode(
            {
                "tags": ["1", 2, "3"],
                "manifests": {"1": good, "2": {"layers": [{}]}, "3": "MANIFEST_UNKNOWN", "4": None},
                "configs": {"1": {"history": None}, "2": {"history": [{"created_by": 5}]}},
            }
        )
    )
    assert document.tags == ["1", "3"]
    assert document.manifests is not None
    assert document.configs is not None
    assert set(document.manifests) == {"1", "4"}
    assert set(document.configs) == {"1"}
    assert [(r.reference, r.reason) for r in rejections] == [
        ("2", "invalid_tag"),
        ("2", "invalid_manifest"),
        ("3", "invalid_manifest"),
        ("2", "invalid_config"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf{"tags": ["1"], "configs": {"1": {"os": "linux"}}}',
        b'{"tags": ["1"], "configs": {"1": {"os": "linux", "author": "\\ud800"}}}',
        b'{"tags": ["1"], "configs": {"1": {"os": "linux", "author": "\xff"}}}',
        b'{"tags": ["1"], "configs": {"1": {"os": "linux", "weight": NaN}}}',
    ],
    ids=["BOM", "lone surrogate", "not UTF-8", "NaN"],
)
def test_text_that_strict_decoders_refuse_is_repaired(data: bytes) -> None:
    document, rejections = decode_repository(data)
    assert document.tags == ["1"]
    assert document.configs is not None
    assert document.configs["1"] is not None
    assert document.configs["1"].os == "linux"
    assert rejections == []


def test_repaired_text_can_be_encoded() -> None:
    document, _ = decode_repository(
        b'{"tags": ["a\\udcff"], "configs": {"a\\udcff": {"os": "\\ud800x"}}}'
    )
    assert document.tags == ["a?"]
    assert document.configs is not None
    assert document.configs["a?"] is not None
    assert document.configs["a?"].os == "?x"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "broken_json"),
        (b'{"tags": ["1"', "broken_json"),
        (b"\x00" * 20, "broken_json"),
        (b"[" * 100_000, "broken_json"),
        (b"[]", "invalid_document"),
        (b"null", "invalid_document"),
    ],
)
def test_a_file_without_any_use_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        decode_repository(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("key", ["tags", "manifests", "configs"])
def test_a_section_of_the_wrong_type_is_rejected_alone(key: str) -> None:
    document, rejections = decode_repository(
        encode({"tags": ["1"], "manifests": {"1": {}}, "configs": {"1": {}}, key: 5})
    )
    assert [r.reason for r in rejections] == ["invalid_document"]
    assert sum(map(bool, (document.tags, document.manifests, document.configs))) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tags", "manifests", "configs", "layers", "size", "digest", "history"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_decoded_or_refused_and_every_tag_is_accounted_for(document: Any) -> None:
    try:
        decoded, rejections = decode_repository(encode(document))
    except UnreadableDocument:
        assert not isinstance(document, dict)
        return
    for part, entries in (("manifest", decoded.manifests), ("config", decoded.configs)):
        given_entries = document.get(f"{part}s")
        if isinstance(given_entries, dict):
            rejected = [r for r in rejections if r.reason == f"invalid_{part}"]
            assert len(entries or {}) + len(rejected) == len(given_entries)
    msgspec.json.encode(decoded.tags)
