"""Platforms and the entries of an index."""

import json

import pytest

from pullstudy.errors import ConfigError
from pullstudy.registry.documents import decode_manifest
from pullstudy.registry.platforms import (
    IndexEntry,
    Platform,
    PlatformEntry,
    choose_entry,
    describe_entries,
    parse_platform,
    read_entries,
)


def entry(digest: str, *platform: str | None) -> IndexEntry:
    return IndexEntry(digest, platform=PlatformEntry(*platform) if platform else None)


INDEX = [
    entry("none"),
    entry("attestation", "unknown", "unknown"),
    entry("armv6", "linux", "arm", "v6"),
    entry("armv7", "linux", "arm", "v7"),
    entry("arm64", "linux", "arm64"),
    entry("amd64", "linux", "amd64"),
    entry("amd64-2", "linux", "amd64"),
    entry("amd64v3", "linux", "amd64", "v3"),
    entry("windows", "windows", "amd64"),
]


@pytest.mark.parametrize(
    ("platform", "digest"),
    [
        ("linux/amd64", "amd64"),
        ("linux/amd64/v1", "amd64"),
        ("linux/amd64/v3", "amd64v3"),
        ("linux/arm", "armv7"),
        ("linux/arm/v7", "armv7"),
        ("linux/arm64", "arm64"),
        ("linux/arm64/v8", "arm64"),
        ("windows/amd64", "windows"),
        ("linux/s390x", None),
        ("linux/arm64/v9", None),
    ],
)
def test_the_first_entry_that_fits_best_is_taken(platform: str, digest: str | None) -> None:
    chosen = choose_entry(INDEX, parse_platform(platform))
    assert (chosen.digest if chosen else None) == digest


def test_an_unusual_variant_is_better_than_none() -> None:
    chosen = choose_entry(INDEX[-2:], Platform("linux", "amd64"))
    assert chosen is not None and chosen.digest == "amd64v3"


def test_what_says_nothing_of_a_platform_is_unlabelled() -> None:
    assert [e.digest for e in INDEX if e.is_unlabelled] == ["none"]
    assert IndexEntry("empty", platform=PlatformEntry()).is_unlabelled
    assert not IndexEntry("signature", artifact_type="application/x").is_unlabelled


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8"])
def test_platforms_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_platform(text)) == text
    assert parse_platform(text) == Platform(*text.split("/"))


@pytest.mark.parametrize("text", ["", "amd64", "linux/", "linux/amd64/v8/x", "linux/a b"])
def test_texts_that_are_no_platform(text: str) -> None:
    with pytest.raises(ConfigError, match="no platform"):
        parse_platform(text)


def test_entries_are_read_from_an_index() -> None:
    platform = {"os": "linux", "architecture": "arm64", "os.version": "1"}
    entries = [{"digest": "sha256:1", "mediaType": "t", "size": 5, "platform": platform}]
    index = decode_manifest(json.dumps({"manifests": entries}).encode())
    assert read_entries(index) == [IndexEntry("sha256:1", "t", PlatformEntry("linux", "arm64"))]


def test_an_entry_that_cannot_be_read_takes_no_other_along() -> None:
    misfits: list[str] = []
    index = decode_manifest(b'{"manifests": [5, null, {}, {"digest": "sha256:1"}]}')
    assert read_entries(index, misfits) == [IndexEntry("sha256:1")]
    assert len(misfits) == 3


def test_platforms_are_named_for_a_message() -> None:
    assert describe_entries(INDEX[4:7]) == "linux/amd64, linux/arm64"
    assert describe_entries(INDEX[:1]) == "no platform"
