"""From the files of the archive to the registry tables: every tag is somewhere, with its reason."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.archive.registry import LISTING, REGISTRY, read_listing, tabulate_registry

IMAGE = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "digest": "sha256:c",
    },
    "layers": [
        {
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "digest": "sha256:l",
            "size": 7,
        }
    ],
}
SIGNATURE = {
    **IMAGE,
    "layers": [
        {
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": "sha256:s",
            "size": 1,
        }
    ],
}
INDEX = {"schemaVersion": 2, "mediaType": "list", "manifests": [{"digest": "sha256:m"}]}
SCHEMA1 = {"schemaVersion": 1, "fsLayers": [{"blobSum": "sha256:l"}], "name": "a", "tag": "old"}
CONFIG = {"os": "linux", "architecture": "amd64", "history": [{"created_by": "RUN x"}]}
SIGNATURE_TAG = f"sha256-{'0' * 64}.sig"


def document(tags: list[str], manifests: Any = None, configs: Any = None) -> bytes:
    return json.dumps(
        {"tags": tags, "manifests": manifests or {}, "configs": configs or {}}
    ).encode()


def tabulate(
    folder: Path, repositories: dict[str, bytes], further: dict[str, bytes] | None = None
) -> dict[str, list[dict[str, Any]]]:
    files = {f"{REGISTRY}/{n}/manifests-config-layers.json": c for n, c in repositories.items()}
    archive = folder / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path, content in (files | (further or {})).items():
            info = tarfile.TarInfo(f"top/experiments/{path}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    tabulate_registry(archive, folder)
    names = ("tags", "images", "layers", "history", "failures", "coverage")
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in names}


def test_every_shape_of_tag_is_in_its_table_or_a_failure(tmp_path: Path) -> None:
    tags = ["image", "bare", "multi", "multi-bare", "old", "signed", "gone", SIGNATURE_TAG, "bad"]
    found = tabulate(
        tmp_path,
        {
            "a": document(
                [*tags, "image"],
                {
                    "image": IMAGE,
                    "bare": IMAGE,
                    "multi": INDEX,
                    "multi-bare": INDEX,
                    "old": SCHEMA1,
                    "signed": SIGNATURE,
                    "bad": {"errors": [{"code": "MANIFEST_UNKNOWN"}]},
                    "unlisted": IMAGE,
                },
                {"image": CONFIG, "multi": CONFIG, "signed": CONFIG, "unlisted": CONFIG},
            )
        },
    )
    assert {row["tag"]: row["kind"] for row in found["tags"]} == {
        "image": "image",
        "bare": "image",
        "multi": "index",
        "multi-bare": "index",
        "old": "schema1",
        "signed": "artifact",
        "gone": "unknown",
        SIGNATURE_TAG: "artifact",
        "bad": "unknown",
        "unlisted": "image",
    }
    images = [(r["tag"], r["kind"], r["has_manifest"], r["has_config"]) for r in found["images"]]
    assert images == [
        ("image", "image", True, True),
        ("bare", "image", True, False),
        ("multi", "index", False, True),
        ("signed", "artifact", True, True),
        ("unlisted", "image", True, True),
    ]
    assert {(r["reference"], r["reason"]) for r in found["failures"]} == {
        ("bare", "no_config"),
        ("multi-bare", "no_config"),
        ("old", "schema1"),
        ("gone", "no_manifest"),
        (SIGNATURE_TAG, "skipped_signature"),
        ("bad", "unknown_manifest"),
        ("image", "repeated_tag"),
    }
    (refused,) = (r for r in found["failures"] if r["reference"] == "bad")
    assert "MANIFEST_UNKNOWN" in refused["detail"]
    assert len(found["layers"]) == 4
    assert len(found["history"]) == 4


def test_a_broken_file_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    whole = document(["1"], {"1": IMAGE}, {"1": CONFIG})
    found = tabulate(
        tmp_path,
        {"a": whole[: len(whole) // 2], "b": b"", "c": b"[]", "d": whole},
        {f"{REGISTRY}/notes.txt": b"x"},
    )
    assert [(r["name"], r["reason"]) for r in found["failures"]] == [
        ("a", "broken_json"),
        ("b", "broken_json"),
        ("c", "invalid_document"),
        (f"{REGISTRY}/notes.txt", "unexpected_file"),
    ]
    assert [row["name"] for row in found["images"]] == ["d"]


def test_a_bad_entry_is_one_failure_and_its_neighbours_stay(tmp_path: Path) -> None:
    manifests = {"1": IMAGE, "2": {"layers": [{"digest": "sha256:x"}]}, "3": IMAGE}
    configs = {"1": CONFIG, "2": CONFIG, "3": {"history": "none"}}
    found = tabulate(tmp_path, {"a": document(["1", "2", "3"], manifests, configs)})
    assert [(r["reference"], r["reason"]) for r in found["failures"]] == [
        ("2", "invalid_manifest"),
        ("3", "invalid_config"),
    ]
    images = [(r["tag"], r["has_manifest"], r["has_config"]) for r in found["images"]]
    assert images == [("1", True, True), ("2", False, True), ("3", True, False)]
    assert len(found["tags"]) == 3


@pytest.mark.parametrize(
    ("name", "message", "reason", "status"),
    [
        ("denied/x", "UNAUTHORIZED: authentication required; [map[]]", "unauthorized", None),
        ("a", "DENIED: requested access to the resource is denied", "denied", None),
        ("a", "NAME_UNKNOWN: repository name not known to registry", "not_found", None),
        ("a", "unsupported status code 404; body: <Error>", "not_found", 404),
        ("a", "unsupported status code 401; body: <html>", "unauthorized", 401),
        ("a", "unsupported status code 418; body: tea", "listing_failed", 418),
        ("a", "Get https://x.io/v2/: dial tcp 1.2.3.4:443: i/o timeout", "unreachable", None),
        ("<?php", 'parsing repo "<?php": repository can only', "invalid_reference", None),
        ("&&\tprintf", 'parsing repo "&&"', "invalid_reference", None),
    ],
)
def test_a_listing_that_failed_is_one_failure_and_no_tags(
    tmp_path: Path, name: str, message: str, reason: str, status: int | None
) -> None:
    lines = f"crane ls {name}: {message}\n<body>\nlatest".split("\n")
    found = tabulate(tmp_path, {name: document(lines)})
    assert found["tags"] == []
    (failure,) = found["failures"]
    assert (failure["name"], failure["reason"], failure["status"]) == (name, reason, status)


def test_nonsense_names_keep_their_images(tmp_path: Path) -> None:
    whole = document(["1"], {"1": IMAGE}, {"1": CONFIG})
    names = [
        "--platform=linux/amd64",
        "<?php",
        "\ufeffubuntu",
        '_LOCATION=/u01/x.xml"',
        "ARG",
        "a\tb",
    ]
    found = tabulate(tmp_path, dict.fromkeys(names, whole))
    assert [row["name"] for row in found["images"]] == names
    assert {row["registry"] for row in found["images"]} == {None}
    assert Counter(r["reason"] for r in found["failures"]) == {"invalid_reference": len(names)}


def test_an_empty_repository_and_odd_tags_are_failures(tmp_path: Path) -> None:
    found = tabulate(tmp_path, {"a": document([]), "b": document(["1", "not a tag"], {"1": IMAGE})})
    assert [(r["name"], r["reference"], r["reason"]) for r in found["failures"]] == [
        ("a", None, "no_tags"),
        ("b", "1", "no_config"),
        ("b", "not a tag", "invalid_tag"),
    ]


def test_coverage_counts_the_listed_repositories(tmp_path: Path) -> None:
    found = tabulate(
        tmp_path,
        {"a": document(["1"]), "b c": b"{", "z": document(["1"])},
        {LISTING: b"a\nb c\r\nquay.io/d\na\n\n"},
    )
    listing, registry, _ = found["coverage"]
    assert (listing["part"], listing["expected"], listing["present"]) == ("registry_listing", 1, 1)
    assert (registry["part"], registry["expected"], registry["present"]) == ("registry", 3, 1)
    assert "b c, quay.io/d" in registry["detail"]
    assert "1 files are of repositories not listed" in registry["detail"]


def test_an_archive_without_registry_gives_empty_tables(tmp_path: Path) -> None:
    found = tabulate(tmp_path, {}, {"pulling/x": b""})
    assert not any(found[name] for name in ("tags", "images", "layers", "history", "failures"))
    assert [(r["expected"], r["present"]) for r in found["coverage"]] == [(1, 0)] * 3


def test_the_listing_keeps_any_name_once() -> None:
    assert read_listing(b"a\r\n\xffb\n--x y\na\n \n") == ["a", "\ufffdb", "--x y"]
