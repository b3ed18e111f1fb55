"""What a harvest of a real registry finds, and what it asks for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pullstudy.cli import main
from pullstudy.errors import RegistryError
from pullstudy.registry.content import digest_of
from pullstudy.registry.harvest import harvest
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.platforms import parse_platform
from pullstudy.tables import TABLES

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry
    from tests.integration.registry.conftest import MakeProxy

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
Rows = list[dict[str, Any]]
# Docker Hub's way of counting, for a registry that is not Docker Hub.
COUNTED = {"*": Limits(counts_manifests_only=True)}


class Harvest:
    """Harvests into a folder of the test and reads the tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"

    def __call__(self, *names: str, out: str = "out", **settings: Any) -> dict[str, Rows]:
        if "platforms" in settings:
            settings["platforms"] = tuple(map(parse_platform, settings["platforms"]))
        harvest(names, self.folder / out, self.cache, HarvestSettings(plain_http=True, **settings))
        return read_tables(self.folder / out)


def read_tables(folder: Path) -> dict[str, Rows]:
    tables = {}
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        assert table.schema.equals(TABLES[path.stem].schema)
        tables[path.stem] = table.to_pylist()
    return tables


@pytest.fixture
def run(tmp_path: Path) -> Harvest:
    return Harvest(tmp_path)


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_an_image_becomes_rows(
    registry: LiveRegistry, repository: str, run: Harvest, docker: bool
) -> None:
    digest = registry.push_image(repository, "v1", "app", docker=docker)
    name = f"{registry.address}/{repository}"
    tables = run(name)
    raw = registry.session.get(
        registry.url(f"{repository}/manifests/{digest}"),
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json, " + OCI_MANIFEST},
    ).json()
    where = {"name": name, "registry": registry.address, "repository": repository, "tag": "v1"}
    known = where | {"kind": "image", "media_type": raw["mediaType"], "digest": digest}
    assert tables["tags"] == [known]
    assert tables["images"] == [
        known
        | {
            "image_id": 0,
            "config_digest": raw["config"]["digest"],
            "os": "linux",
            "architecture": "amd64",
            "variant": None,
            "created_at_utc": datetime(2024, 11, 21, 10),
            "has_manifest": True,
            "has_config": True,
            "layer_count": 1,
            "size_bytes": raw["layers"][0]["size"],
        }
    ]
    assert tables["layers"] == [
        {
            "image_id": 0,
            "layer_number": 0,
            "digest": raw["layers"][0]["digest"],
            "size_bytes": raw["layers"][0]["size"],
            "media_type": raw["layers"][0]["mediaType"],
        }
    ]
    assert [(h["created_by"], h["layer_number"]) for h in tables["history"]] == [
        ("RUN make app", 0),
        ("CMD sh", None),
    ]
    assert tables["failures"] == []
    assert [(c["expected"], c["present"]) for c in tables["coverage"]] == [(1, 1), (1, 1)]


def test_an_index_gives_the_wanted_platforms(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    children = {
        platform: registry.push_image(
            repository, None, platform, architecture=platform.split("/")[1]
        )
        for platform in ("linux/arm64/v8", "linux/amd64", "linux/arm/v7", "linux/arm/v6")
    }
    registry.push_index(repository, "v1", children)
    name = f"{registry.address}/{repository}"

    usual = run(name, out="usual")
    assert [(i["kind"], i["digest"]) for i in usual["images"]] == [
        ("index", children["linux/amd64"])
    ]
    assert usual["failures"] == []

    wanted = ("linux/arm64", "linux/arm/v6", "windows/amd64")
    chosen = run(name, out="chosen", platforms=wanted)
    assert [i["digest"] for i in chosen["images"]] == [
        children["linux/arm64/v8"],
        children["linux/arm/v6"],
    ]
    (failure,) = chosen["failures"]
    assert (failure["reference"], failure["reason"]) == ("v1", "platform_missing")
    assert "linux/arm/v7" in failure["detail"]


def push_entries(registry: LiveRegistry, repository: str, tag: str | None, *entries: Any) -> str:
    """Push an index of entries as they are; returns its digest."""
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}
    content = json.dumps(index).encode()
    return registry.push_manifest(repository, tag or digest_of(content), content, OCI_INDEX)


def entry(digest: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": 1} | more


def test_entries_without_a_platform_are_asked_for_theirs(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    arm, amd = (
        entry(registry.push_image(repository, None, text, architecture=text), OCI_MANIFEST)
        for text in ("arm64", "amd64")
    )
    push_entries(registry, repository, "both", arm, amd)
    push_entries(registry, repository, "other", arm)
    tables = run(f"{registry.address}/{repository}")
    assert [(i["tag"], i["digest"]) for i in tables["images"]] == [("both", amd["digest"])]
    (failure,) = tables["failures"]
    assert (failure["reference"], failure["reason"]) == ("other", "platform_missing")


@pytest.mark.parametrize("platform", [{}, {"platform": {"os": "linux", "architecture": "amd64"}}])
def test_indexes_in_indexes_are_followed(
    platform: dict[str, Any], registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    image = registry.push_image(repository, None, "app")
    inner = push_entries(registry, repository, None, entry(image, OCI_MANIFEST, **platform))
    push_entries(registry, repository, "v1", entry(inner, OCI_INDEX, **platform))
    tables = run(f"{registry.address}/{repository}")
    assert [(i["tag"], i["kind"], i["digest"]) for i in tables["images"]] == [
        ("v1", "index", image)
    ]
    assert tables["failures"] == []


def test_indexes_deeper_than_any_tool_makes_them_are_a_failure(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    digest, kind = registry.push_image(repository, None, "app"), OCI_MANIFEST
    for number in range(5):
        tag = "deep" if number == 4 else None
        digest, kind = push_entries(registry, repository, tag, entry(digest, kind)), OCI_INDEX
    tables = run(f"{registry.address}/{repository}")
    assert tables["images"] == []
    assert [(f["reference"], f["reason"]) for f in tables["failures"]] == [
        ("deep", "unknown_manifest")
    ]


def test_a_list_of_referrers_is_no_index_of_images(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    """What the referrers tag schema makes where a registry lacks the referrers API."""
    digest = registry.push_image(repository, "v1", "app")
    attached = entry(registry.push_image(repository, None, "signature"), OCI_MANIFEST)
    push_entries(registry, repository, digest.replace(":", "-"), attached)
    tables = run(f"{registry.address}/{repository}")
    assert [t["kind"] for t in tables["tags"]] == ["artifact", "image"]
    assert [i["tag"] for i in tables["images"]] == ["v1"]
    assert tables["failures"] == []


def test_a_folder_harvested_for_other_platforms_is_harvested_again(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    children = {
        platform: registry.push_image(repository, None, platform)
        for platform in ("linux/amd64", "linux/arm64")
    }
    registry.push_index(repository, "v1", children)
    name = f"{registry.address}/{repository}"
    for platform, digest in children.items():
        tables = run(name, platforms=(platform,))
        assert [image["digest"] for image in tables["images"]] == [digest]


def test_artifacts_are_recognised_and_are_no_images(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    registry.push_image(repository, "v1", "app")
    empty = registry.push_blob(repository, b"{}")
    artifacts = {
        # cosign, in toto, CycloneDX, Helm, SOCI: as they are found in registries
        "sha256-" + "1" * 64 + ".sig": (
            OCI_CONFIG,
            "application/vnd.dev.cosign.simplesigning.v1+json",
        ),
        "sha256-" + "1" * 64 + ".att": (OCI_CONFIG, "application/vnd.dsse.envelope.v1+json"),
        "sha256-" + "1" * 64 + ".sbom": (OCI_CONFIG, "application/vnd.cyclonedx+json"),
        "chart": (
            "application/vnd.cncf.helm.config.v1+json",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        ),
        "soci": ("application/vnd.amazon.soci.index.v1+json", "application/octet-stream"),
    }
    for tag, (config_type, layer_type) in artifacts.items():
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": config_type, "digest": empty, "size": 2},
            "layers": [{"mediaType": layer_type, "digest": empty, "size": 2}],
        }
        registry.push_manifest(repository, tag, manifest, OCI_MANIFEST)
    tables = run(f"{registry.address}/{repository}")
    kinds = {row["tag"]: row["kind"] for row in tables["tags"]}
    assert kinds == dict.fromkeys(artifacts, "artifact") | {"v1": "image"}
    assert [image["tag"] for image in tables["images"]] == ["v1"]
    assert tables["failures"] == []


def test_layers_keep_their_media_types(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    kinds = [
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ]
    layer = registry.push_blob(repository, b"layer")
    config = registry.push_blob(repository, b'{"os":"linux"}')
    layers: list[dict[str, Any]] = [
        {"mediaType": kind, "digest": layer, "size": 5} for kind in kinds
    ]
    layers[2] |= {
        "digest": "sha256:" + "7" * 64,
        "size": 10_000_000_000,
        "urls": ["https://layers.example.invalid/7"],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": config,
            "size": 14,
        },
        "layers": layers,
    }
    registry.push_manifest(repository, "v1", manifest, str(manifest["mediaType"]))
    tables = run(f"{registry.address}/{repository}")
    assert [row["media_type"] for row in tables["layers"]] == kinds
    assert tables["images"][0]["size_bytes"] == 10_000_000_010


@pytest.mark.integration
def test_schema_1_is_recognised_and_counted(
    distribution: LiveRegistry, repository: str, run: Harvest, skopeo: str
) -> None:
    distribution.push_image(repository, "new", "app", docker=True)
    name = f"{distribution.address}/{repository}"
    command = [skopeo, "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    command += ["--format", "v2s1", f"docker://{name}:new", f"docker://{name}:old"]
    subprocess.run(command, check=True)
    tables = run(name)
    assert {row["tag"]: row["kind"] for row in tables["tags"]} == {"new": "image", "old": "schema1"}
    assert [(f["reference"], f["reason"]) for f in tables["failures"]] == [("old", "schema1")]
    head = distribution.session.head(distribution.url(f"{repository}/manifests/old"))
    assert tables["tags"][1]["digest"] == head.headers["Docker-Content-Digest"]


def test_names_that_are_no_references_are_never_asked_for(
    embedded: LiveRegistry, make_proxy: MakeProxy, repository: str, run: Harvest
) -> None:
    proxy = make_proxy(embedded)
    embedded.push_image(repository, "v1", "app")
    hostile = [
        "--platform=linux/amd64",
        "<?php",
        "ARG",
        '_LOCATION=/u01/oracle.xml"',
        "\t",
        "\ufeffubuntu",
        f"{proxy.address}/Upper/case",
        f"{proxy.address}/a/../../b",
        f"{proxy.address}/{repository}:v1\n",
        f"{proxy.address}/{repository}?x=1",
    ]
    tables = run(*hostile, f"{proxy.address}/{repository}")
    refused = {f["name"]: f for f in tables["failures"]}
    assert sorted(refused) == sorted(hostile)
    assert {f["reason"] for f in refused.values()} == {"invalid_reference"}
    assert all("\n" not in f["detail"] for f in refused.values())
    assert all(repository in path and "?x=1" not in path for _, path, _ in proxy.seen)
    assert len(tables["images"]) == 1


def test_spellings_of_one_repository_are_one(embedded: LiveRegistry, run: Harvest) -> None:
    embedded.push_image("library/spelt", "v1", "app")
    embedded.push_image("library/spelt", "v2", "app")
    endpoints = {"docker.io": f"http://{embedded.address}"}
    names = ["spelt", "docker.io/spelt:v1", "docker.io/library/spelt", "index.docker.io/spelt"]
    tables = run(*names, endpoints=endpoints)
    assert [(t["name"], t["tag"]) for t in tables["tags"]] == [
        ("docker.io/library/spelt", "v1"),
        ("docker.io/library/spelt", "v2"),
    ]
    assert {(t["registry"], t["repository"]) for t in tables["tags"]} == {
        ("docker.io", "library/spelt")
    }
    one = run("spelt:v2", out="one", endpoints=endpoints)
    assert [(t["name"], t["tag"]) for t in one["tags"]] == [("spelt", "v2")]


def test_a_cap_keeps_latest_and_leaves_attachments_to_the_end(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    signature = "sha256-" + "1" * 64 + ".sig"
    for tag in ("1.0", "2.0", "latest", signature):
        registry.push_image(repository, tag, tag)
    name = f"{registry.address}/{repository}"
    for count, expected in ((1, {"latest"}), (3, {"latest", "1.0", "2.0"})):
        tables = run(name, out=str(count), tags_max=count)
        assert {row["tag"] for row in tables["tags"]} == expected
        assert tables["coverage"][1] | {"part": ""} == {
            "part": "",
            "expected": 4,
            "present": count,
            "detail": tables["coverage"][1]["detail"],
        }
    everything = run(name, out="1")
    assert len(everything["tags"]) == 4, "the cap of the first run must not stay"


def test_any_number_of_pages_is_read(
    embedded: LiveRegistry,
    make_proxy: MakeProxy,
    repository: str,
    run: Harvest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pullstudy.registry.client._PAGE_SIZE", 3)
    tags = [f"v{number:02d}" for number in range(10)]
    for tag in tags:
        embedded.push_image(repository, tag, "app")
    proxy = make_proxy(embedded)
    tables = run(f"{proxy.address}/{repository}")
    assert [row["tag"] for row in tables["tags"]] == tags
    assert len(proxy.requests("GET", "tags/list")) == 4


def test_what_is_done_is_not_asked_for_again(
    registry: LiveRegistry, make_proxy: MakeProxy, repository: str, run: Harvest
) -> None:
    for number in range(5):
        registry.push_image(repository, f"v{number}", f"app {number}")
    proxy = make_proxy(registry)
    name = f"{proxy.address}/{repository}"
    first = run(name)
    assert len(proxy.requests("GET", "/manifests/")) == 5
    proxy.seen.clear()
    assert run(name) == first
    assert proxy.seen == [], "a complete harvest asks for nothing"
    # Another run with the same cache asks what the tags name now, and fetches what is new.
    registry.push_image(repository, "v3", "moved")
    second = run(name, out="another")
    assert len(proxy.requests("HEAD", "/manifests/")) == 5
    assert len(proxy.requests("GET", "/manifests/")) == 1
    assert len(proxy.requests("GET", "/blobs/")) == 1
    changed = [a["tag"] for a, b in zip(first["tags"], second["tags"], strict=True) if a != b]
    assert changed == ["v3"]


def test_tags_of_one_image_share_what_is_fetched(
    registry: LiveRegistry, make_proxy: MakeProxy, repository: str, run: Harvest
) -> None:
    digests = {registry.push_image(repository, f"v{n}", "the same") for n in range(8)}
    proxy = make_proxy(registry)
    tables = run(f"{proxy.address}/{repository}", limits=COUNTED)
    assert {image["digest"] for image in tables["images"]} == digests
    assert len(tables["images"]) == 8
    # Where a quota counts GETs of manifests, HEAD comes first.
    assert len(proxy.requests("HEAD", "/manifests/v")) == 8
    assert len(proxy.requests("GET", "/manifests/")) == 1
    assert len(proxy.requests("GET", "/blobs/")) == 1


def test_damaged_content_of_the_cache_is_fetched_again(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    registry.push_image(repository, "v1", "app")
    name = f"{registry.address}/{repository}"
    expected = run(name)
    (path,) = run.cache.rglob("*.pack")
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"SchemaVersion"))
    with pytest.raises(RegistryError, match="run again"):
        run(name)
    assert run(name) == expected


def test_repositories_that_cannot_be_had_are_failures(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    registry.push_image(repository, "v1", "app")
    good, missing = (f"{registry.address}/{repository}{end}" for end in ("", "-none"))
    nowhere = "127.0.0.1:1/a"
    impossible = f"{'x' * 70}.example/a"
    tables = run(good, missing, nowhere, impossible, attempts=2, first_backoff_seconds=0.01)
    found = {f["name"]: f for f in tables["failures"]}
    assert sorted(found) == sorted([missing, nowhere, impossible])
    assert (found[missing]["status"], found[missing]["reason"]) == (404, "not_found")
    assert (found[nowhere]["status"], found[nowhere]["reason"]) == (None, "unreachable")
    assert found[impossible]["reason"] == "unreachable"
    assert {f["stage"] for f in found.values()} == {"registry"}
    assert [image["name"] for image in tables["images"]] == [good]
    assert (tables["coverage"][0]["expected"], tables["coverage"][0]["present"]) == (4, 1)


def test_one_tag_or_digest_is_harvested_alone(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    digest = registry.push_image(repository, "v1", "app")
    registry.push_image(repository, "v2", "other")
    name = f"{registry.address}/{repository}"
    by_tag = run(f"{name}:v1", out="tag")
    assert [(t["name"], t["tag"], t["digest"]) for t in by_tag["tags"]] == [(name, "v1", digest)]
    by_digest = run(f"{name}@{digest}", out="digest")
    assert [(t["name"], t["tag"]) for t in by_digest["tags"]] == [(name, digest)]
    assert by_digest["tags"][0]["media_type"] == OCI_MANIFEST
    gone = run(f"{name}:gone", out="gone")
    assert [(f["reference"], f["reason"]) for f in gone["failures"]] == [("gone", "not_found")]


def test_two_harvests_do_not_write_to_one_folder(
    registry: LiveRegistry, make_proxy: MakeProxy, repository: str, run: Harvest
) -> None:
    registry.push_image(repository, "v1", "app")
    proxy = make_proxy(registry)
    name = f"{proxy.address}/{repository}"

    def intrude(content: bytes) -> bytes:
        with pytest.raises(RegistryError, match="another harvest"):
            run(name)
        return content

    proxy.replace_body(intrude, "/blobs/")
    assert len(run(name)["images"]) == 1


Command = Callable[..., int]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["pullstudy", "harvest", *arguments])
        try:
            main()
        except SystemExit as exc:
            return exc.code if isinstance(exc.code, int) else 0
        return 0

    return call


def test_the_command_says_what_it_found(
    registry: LiveRegistry,
    repository: str,
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.push_image(repository, "v1", "app")
    name = f"{registry.address}/{repository}"
    assert command(name, "--out", str(tmp_path / "out"), "--plain-http") == 0
    assert capsys.readouterr().out == (
        f"1 of 1 tags, 1 of 1 repositories, 1 images, 0 failures; tables in {tmp_path}/out\n"
    )
    assert len(read_tables(tmp_path / "out")["images"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["127.0.0.1:1/a:v1", "--attempts", "1"], "127.0.0.1:1/v2/a/manifests/v1: cannot connect"),
        (["NOT A NAME"], "'NOT A NAME' is no image reference"),
        (["ubuntu", "--platform", "amd64"], "'amd64': no platform"),
        (["ubuntu", "--mirror", "127.0.0.1:5000"], "no mirror"),
        (["ubuntu", "--mirror", "docker.io=127.0.0.1:5000"], "no registry"),
    ],
)
def test_the_command_fails_in_one_line(
    arguments: list[str],
    message: str,
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(*arguments, "--out", str(tmp_path / "out"), "--plain-http") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_the_command_says_how_to_go_on_when_it_is_stopped(
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pullstudy.registry.harvest.harvest", interrupt)
    assert command("127.0.0.1:1/a", "--out", str(tmp_path / "out")) == 130
    assert capsys.readouterr().err == "pullstudy: stopped; run again to go on\n"


def test_contents_and_journals_are_readable_json_lines(
    registry: LiveRegistry, repository: str, run: Harvest
) -> None:
    registry.push_image(repository, "v1", "app")
    run(f"{registry.address}/{repository}")
    (journal,) = (run.folder / "out/.harvest").glob("*.jsonl")
    kinds = [json.loads(line)["type"] for line in journal.read_text().splitlines()]
    assert kinds == ["started", "listed", "tag"]
