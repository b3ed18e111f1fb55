"""The embedded registry behaves as Distribution does: each test runs against both."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from pullstudy.errors import RegistryError
from pullstudy.registry.server import serve_layout

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry

MISSING = "sha256:" + "0" * 64


def code_of(answer: requests.Response) -> str:
    code: str = answer.json()["errors"][0]["code"]
    return code


def begin(registry: LiveRegistry, repository: str) -> str:
    answer = registry.session.post(registry.url(f"{repository}/blobs/uploads/"))
    assert answer.status_code == 202
    return absolute(registry, answer)


def absolute(registry: LiveRegistry, answer: requests.Response) -> str:
    location = answer.headers["Location"]
    return location if "://" in location else f"http://{registry.address}{location}"


def with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_it_says_which_protocol_it_speaks(registry: LiveRegistry) -> None:
    answer = registry.session.get(registry.url(""))
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_pushed_image_is_pulled_by_tag_and_digest(
    registry: LiveRegistry, repository: str
) -> None:
    digest = registry.push_image(repository, "v1", "app")
    by_tag = registry.session.get(
        registry.url(f"{repository}/manifests/v1"),
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    assert by_tag.status_code == 200
    assert by_tag.headers["Docker-Content-Digest"] == digest == sha256(by_tag.content)
    assert by_tag.headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    by_digest = registry.session.get(
        registry.url(f"{repository}/manifests/{digest}"),
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    assert by_digest.content == by_tag.content
    config = by_tag.json()["config"]
    blob = registry.session.get(registry.url(f"{repository}/blobs/{config['digest']}"))
    assert (blob.status_code, len(blob.content)) == (200, config["size"])
    assert sha256(blob.content) == config["digest"]


def test_head_gives_the_headers_of_get(registry: LiveRegistry, repository: str) -> None:
    registry.push_image(repository, "v1", "app")
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    url = registry.url(f"{repository}/manifests/v1")
    head = registry.session.head(url, headers=accept)
    get = registry.session.get(url, headers=accept)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Type", "Content-Length", "Docker-Content-Digest"):
        assert head.headers[name] == get.headers[name]
    digest = get.json()["layers"][0]["digest"]
    blob = registry.session.head(registry.url(f"{repository}/blobs/{digest}"))
    assert blob.status_code == 200
    assert int(blob.headers["Content-Length"]) == get.json()["layers"][0]["size"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{}/manifests/none", "MANIFEST_UNKNOWN"),
        (f"{{}}/manifests/{MISSING}", "MANIFEST_UNKNOWN"),
        (f"{{}}/blobs/{MISSING}", "BLOB_UNKNOWN"),
        ("{}-none/tags/list", "NAME_UNKNOWN"),
        ("{}/blobs/uploads/none", "BLOB_UPLOAD_"),
    ],
)
def test_what_is_not_there_is_a_404(
    registry: LiveRegistry, repository: str, path: str, code: str
) -> None:
    registry.push_image(repository, "v1", "app")
    answer = registry.session.get(registry.url(path.format(repository)))
    # Distribution signs the identifiers of uploads and calls a wrong one invalid.
    expected = (400, 404) if "uploads" in path else (404,)
    assert answer.status_code in expected
    assert code_of(answer).startswith(code)


def test_tags_are_listed(registry: LiveRegistry, repository: str) -> None:
    for tag in ("b", "a", "C", "10", "9"):
        registry.push_image(repository, tag, "app")
    answer = registry.session.get(registry.url(f"{repository}/tags/list")).json()
    assert answer["name"] == repository
    assert sorted(answer["tags"]) == ["10", "9", "C", "a", "b"]
    if registry.kind == "embedded":  # Distribution 2.8 lists them as its disk does
        assert answer["tags"] == ["10", "9", "C", "a", "b"]


def test_tags_come_in_pages_of_the_embedded_registry(
    embedded: LiveRegistry, repository: str
) -> None:
    # Distribution 2.8 does not page: this follows the specification alone.
    tags = sorted(f"v{number}" for number in range(10))
    for tag in tags:
        embedded.push_image(repository, tag, "app")
    url = embedded.url(f"{repository}/tags/list?n=4")
    pages = []
    while url:
        answer = embedded.session.get(url)
        pages.append(answer.json()["tags"])
        following = answer.links.get("next", {}).get("url")
        url = f"http://{embedded.address}{following}" if following else ""
    assert [len(page) for page in pages] == [4, 4, 2]
    assert [tag for page in pages for tag in page] == tags
    nothing = embedded.session.get(embedded.url(f"{repository}/tags/list?n=0"))
    assert nothing.json()["tags"] == []
    assert "Link" not in nothing.headers
    wrong = embedded.session.get(embedded.url(f"{repository}/tags/list?n=many"))
    assert wrong.status_code == 400


def test_a_tag_moves(registry: LiveRegistry, repository: str) -> None:
    first = registry.push_image(repository, "v1", "one")
    second = registry.push_image(repository, "v1", "two")
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    for reference, digest in (("v1", second), (first, first)):
        answer = registry.session.get(
            registry.url(f"{repository}/manifests/{reference}"), headers=accept
        )
        assert answer.headers["Docker-Content-Digest"] == digest
    answer = registry.session.get(registry.url(f"{repository}/tags/list"))
    assert answer.json()["tags"] == ["v1"]


@pytest.mark.parametrize(
    ("range_", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=-4", 206, slice(-4, None)),
    ],
)
def test_blobs_come_in_ranges(
    registry: LiveRegistry, repository: str, range_: str, status: int, part: slice
) -> None:
    content = b"0123456789abcdef"
    digest = registry.push_blob(repository, content)
    answer = registry.session.get(
        registry.url(f"{repository}/blobs/{digest}"), headers={"Range": range_}
    )
    assert answer.status_code == status
    assert answer.content == content[part]


def test_a_blob_comes_in_chunks(registry: LiveRegistry, repository: str) -> None:
    content = bytes(range(256)) * 40
    location = begin(registry, repository)
    for start in range(0, len(content), 4096):
        chunk = content[start : start + 4096]
        answer = registry.session.patch(
            location,
            data=chunk,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{start}-{start + len(chunk) - 1}",
            },
        )
        assert answer.status_code == 202
        assert answer.headers["Range"] == f"0-{start + len(chunk) - 1}"
        location = absolute(registry, answer)
    ended = registry.session.put(with_digest(location, sha256(content)))
    assert ended.status_code == 201
    assert ended.headers["Docker-Content-Digest"] == sha256(content)
    got = registry.session.get(absolute(registry, ended))
    assert got.content == content


def test_an_interrupted_upload_goes_on_where_it_stopped(
    registry: LiveRegistry, repository: str
) -> None:
    content = bytes(range(256)) * 40
    location = begin(registry, repository)
    begun = registry.session.patch(
        location, data=content[:1000], headers={"Content-Type": "application/octet-stream"}
    )
    status = registry.session.get(absolute(registry, begun))
    assert status.status_code == 204
    assert status.headers["Range"] == "0-999"
    rest = registry.session.patch(
        absolute(registry, status),
        data=content[1000:],
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Range": f"1000-{len(content) - 1}",
        },
    )
    assert rest.status_code == 202
    ended = registry.session.put(with_digest(absolute(registry, rest), sha256(content)))
    assert ended.status_code == 201


def test_an_upload_survives_a_lost_connection(
    embedded: LiveRegistry, repository: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Distribution 2.8 drops such an upload; its clients begin again.
    content = bytes(range(256)) * 40
    location = begin(embedded, repository)
    host, _, port = embedded.address.partition(":")
    path = location.removeprefix(f"http://{embedded.address}")
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: {embedded.address}\r\nContent-Length: {len(content)}\r\n"
    )
    with socket.create_connection((host, int(port))) as line:
        line.sendall(
            head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content[:3000]
        )
        time.sleep(0.2)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        status = embedded.session.get(location)
        if status.headers.get("Range") == "0-2999":
            break
        time.sleep(0.1)
    assert status.status_code == 204
    assert status.headers["Range"] == "0-2999"
    rest = embedded.session.patch(
        absolute(embedded, status),
        data=content[3000:],
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Range": f"3000-{len(content) - 1}",
        },
    )
    ended = embedded.session.put(with_digest(absolute(embedded, rest), sha256(content)))
    assert ended.status_code == 201
    assert "Error handling request" not in caplog.text


def test_other_digest_algorithms_are_known(embedded: LiveRegistry, repository: str) -> None:
    digest = f"sha512:{hashlib.sha512(b'text').hexdigest()}"
    location = begin(embedded, repository)
    assert embedded.session.put(with_digest(location, digest), data=b"text").status_code == 201
    assert embedded.session.get(embedded.url(f"{repository}/blobs/{digest}")).content == b"text"


def test_an_address_that_is_taken_is_an_error_in_one_line(
    embedded: LiveRegistry, tmp_path: Path
) -> None:
    port = int(embedded.address.partition(":")[2])
    with pytest.raises(RegistryError, match="take another port"), serve_layout(tmp_path, port=port):
        pass


@pytest.mark.parametrize("range_", ["2000-2999", "0-999", "nonsense"])
def test_a_chunk_out_of_order_is_refused(
    embedded: LiveRegistry, repository: str, range_: str
) -> None:
    # Distribution 2.8 takes it: this follows the specification alone.
    begun = embedded.session.patch(begin(embedded, repository), data=b"x" * 1000)
    answer = embedded.session.patch(
        absolute(embedded, begun), data=b"y" * 1000, headers={"Content-Range": range_}
    )
    assert answer.status_code == 416
    status = embedded.session.get(absolute(embedded, begun))
    assert status.headers["Range"] == "0-999"


def test_a_wrong_digest_is_refused(registry: LiveRegistry, repository: str) -> None:
    location = begin(registry, repository)
    answer = registry.session.put(with_digest(location, MISSING), data=b"something else")
    assert answer.status_code == 400
    assert code_of(answer) == "DIGEST_INVALID"
    assert registry.session.head(registry.url(f"{repository}/blobs/{MISSING}")).status_code == 404


def test_an_upload_is_cancelled(registry: LiveRegistry, repository: str) -> None:
    location = begin(registry, repository)
    assert registry.session.delete(location).status_code == 204
    assert registry.session.get(location).status_code == 404


def test_blobs_are_mounted_from_another_repository(registry: LiveRegistry, repository: str) -> None:
    digest = registry.push_blob(repository, b"shared")
    other = f"{repository}-other"
    url = registry.url(f"{other}/blobs/uploads/")
    here = registry.session.head(registry.url(f"{other}/blobs/{digest}"))
    assert here.status_code == 404, "a blob belongs to the repositories that it was pushed to"
    mounted = registry.session.post(url, params={"mount": digest, "from": repository})
    assert mounted.status_code == 201
    assert mounted.headers["Docker-Content-Digest"] == digest
    assert registry.session.get(registry.url(f"{other}/blobs/{digest}")).content == b"shared"
    unknown = registry.session.post(url, params={"mount": MISSING, "from": repository})
    assert unknown.status_code == 202, "what cannot be mounted is to be uploaded"


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (b"{", "MANIFEST_INVALID"),
        (b"[]", "MANIFEST_INVALID"),
        (
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                    "config": {
                        "mediaType": "application/vnd.docker.container.image.v1+json",
                        "digest": MISSING,
                        "size": 1,
                    },
                    "layers": [],
                }
            ).encode(),
            "MANIFEST_BLOB_UNKNOWN",
        ),
    ],
)
def test_a_manifest_that_is_none_or_lacks_parts_is_refused(
    registry: LiveRegistry, repository: str, manifest: bytes, code: str
) -> None:
    answer = registry.session.put(
        registry.url(f"{repository}/manifests/v1"),
        data=manifest,
        headers={"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"},
    )
    assert answer.status_code == 400
    assert code_of(answer) == code


def test_manifests_and_blobs_are_deleted(registry: LiveRegistry, repository: str) -> None:
    digest = registry.push_image(repository, "v1", "app")
    registry.push_image(repository, "v2", "other")
    deleted = registry.session.delete(registry.url(f"{repository}/manifests/{digest}"))
    assert deleted.status_code == 202
    assert registry.session.get(registry.url(f"{repository}/manifests/{digest}")).status_code == 404
    assert registry.session.get(registry.url(f"{repository}/manifests/v1")).status_code == 404
    tags = registry.session.get(registry.url(f"{repository}/tags/list")).json()["tags"]
    assert tags == ["v2"]
    blob = registry.push_blob(repository, b"to go")
    assert registry.session.delete(registry.url(f"{repository}/blobs/{blob}")).status_code == 202
    assert registry.session.get(registry.url(f"{repository}/blobs/{blob}")).status_code == 404


@pytest.mark.integration
def test_skopeo_copies_from_one_registry_to_the_other(
    distribution: LiveRegistry,
    embedded: LiveRegistry,
    repository: str,
    tmp_path: Path,
    skopeo: str,
) -> None:
    digest = distribution.push_image(repository, "v1", "app")

    def copy(source: str, target: str) -> None:
        command = [skopeo, "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]
        subprocess.run(
            [*command, "--digestfile", str(tmp_path / "digest"), source, target], check=True
        )

    copy(f"docker://{distribution.address}/{repository}:v1", f"docker://{embedded.address}/x/y:v1")
    assert (tmp_path / "digest").read_text() == digest
    copy(f"docker://{embedded.address}/x/y:v1", f"docker://{distribution.address}/x/y:v2")
    assert (tmp_path / "digest").read_text() == digest


def test_a_layout_is_served_again_as_it_was_left(tmp_path: Path) -> None:
    with serve_layout(tmp_path) as address:
        live = requests.Session()
        upload = live.post(
            f"http://{address}/v2/a/b/blobs/uploads/?digest={sha256(b'x')}", data=b"x"
        )
        assert upload.status_code == 201
        layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(b"x")}
        manifest = json.dumps({"schemaVersion": 2, "layers": [layer | {"size": 1}]}).encode()
        for reference in ("v1", sha256(manifest)):
            put = live.put(
                f"http://{address}/v2/a/b/manifests/{reference}",
                data=manifest,
                headers={"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
            )
            assert put.status_code == 201
    with serve_layout(tmp_path) as address:
        got = live.get(f"http://{address}/v2/a/b/manifests/v1")
        assert got.content == manifest
        assert got.headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
        assert live.get(f"http://{address}/v2/a/b/blobs/{sha256(b'x')}").content == b"x"
        assert live.get(f"http://{address}/v2/a/b/tags/list").json()["tags"] == ["v1"]
    index = json.loads((tmp_path / "index.json").read_text())
    assert [m["digest"] for m in index["manifests"]] == [sha256(manifest)]
    assert json.loads((tmp_path / "oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"
