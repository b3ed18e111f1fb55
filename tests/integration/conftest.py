"""What integration tests share: the published Dockerfiles, read once, and running registries."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from pullstudy.archive.corpus import read_corpus
from pullstudy.dockerfiles.tabulate import SourceFile
from pullstudy.registry.server import serve_layout
from tests.conftest import skip_or_fail

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
OCI_MANIFEST = f"{OCI}.manifest.v1+json"
OCI_INDEX = f"{OCI}.index.v1+json"
START_SECONDS = 20.0


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class LiveRegistry:
    """A registry that is running, and a small client to push to it."""

    kind: str
    address: str
    session: requests.Session = field(default_factory=requests.Session)

    def url(self, path: str) -> str:
        return f"http://{self.address}/v2/{path}"

    def push_blob(self, repository: str, content: bytes) -> str:
        digest = digest_of(content)
        begun = self.session.post(self.url(f"{repository}/blobs/uploads/"))
        assert begun.status_code == 202, begun.text
        location = begun.headers["Location"]
        location = location if "://" in location else f"http://{self.address}{location}"
        joint = "&" if "?" in location else "?"
        ended = self.session.put(f"{location}{joint}digest={digest}", data=content)
        assert ended.status_code == 201, ended.text
        return digest

    def push_manifest(self, repository: str, reference: str, manifest: Any, media_type: str) -> str:
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        answer = self.session.put(
            self.url(f"{repository}/manifests/{reference}"),
            data=content,
            headers={"Content-Type": media_type},
        )
        assert answer.status_code == 201, answer.text
        return digest_of(content)

    def push_image(
        self,
        repository: str,
        tag: str | None,
        text: str,
        *,
        docker: bool = False,
        **config: Any,
    ) -> str:
        """Push an image of one layer that is made from a text; returns its digest."""
        layer = gzip.compress(f"layer of {text}".encode(), mtime=0)
        content = json.dumps(make_config(text, **config)).encode()
        manifest = make_manifest(content, layer, docker)
        self.push_blob(repository, layer)
        self.push_blob(repository, content)
        digest = digest_of(json.dumps(manifest).encode())
        return self.push_manifest(repository, tag or digest, manifest, manifest["mediaType"])

    def push_index(self, repository: str, tag: str, children: dict[str, str]) -> str:
        """Push an index; children: digest by `os/architecture[/variant]`."""
        entries = []
        for platform, digest in children.items():
            names = ("os", "architecture", "variant")
            entries.append(
                {
                    "mediaType": OCI_MANIFEST,
                    "digest": digest,
                    "size": 1,
                    "platform": dict(zip(names, platform.split("/"), strict=False)),
                }
            )
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return self.push_manifest(repository, tag, index, OCI_INDEX)


def make_config(text: str, **more: Any) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-11-21T10:00:00Z",
        "history": [
            {"created_by": f"RUN make {text}"},
            {"created_by": "CMD sh", "empty_layer": True},
        ],
        "rootfs": {"type": "layers", "diff_ids": [digest_of(text.encode())]},
    } | more


def make_manifest(config: bytes, layer: bytes, docker: bool) -> dict[str, Any]:
    types = (
        (
            f"{DOCKER}.distribution.manifest.v2+json",
            f"{DOCKER}.container.image.v1+json",
            f"{DOCKER}.image.rootfs.diff.tar.gzip",
        )
        if docker
        else (OCI_MANIFEST, f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip")
    )
    return {
        "schemaVersion": 2,
        "mediaType": types[0],
        "config": {"mediaType": types[1], "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": types[2], "digest": digest_of(layer), "size": len(layer)}],
    }


def run_distribution(folder: Path) -> Iterator[str]:
    """Run Debian's docker-registry on a free loopback port; stops it by its own handle."""
    program = find_program("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "storage")},
            "delete": {"enabled": True},
        },
        "http": {"addr": address},
        "compatibility": {"schema1": {"enabled": True}},
        "validation": {"manifests": {"urls": {"allow": ["^https://layers\\.example\\.invalid/"]}}},
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, "serve", str(path)], stdout=log, stderr=log)
    try:
        wait_until_it_answers(address, server)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def wait_until_it_answers(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            requests.get(f"http://{address}/v2/", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("docker-registry did not start")


def find_program(name: str) -> str:
    """Find a program that Debian has under its own name, or skip."""
    program = shutil.which(name)
    if program is None:
        skip_or_fail(f"{name} is not installed: apt-get install {name}")
    return str(program)


@pytest.fixture(scope="session")
def skopeo() -> str:
    """An independent client of registries."""
    return find_program("skopeo")


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRegistry]:
    """The real registry, one for all tests: each takes repositories of its own."""
    for address in run_distribution(tmp_path_factory.mktemp("distribution")):
        yield LiveRegistry("distribution", address)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRegistry]:
    """The registry of this package, one for all tests."""
    with serve_layout(tmp_path_factory.mktemp("embedded")) as address:
        yield LiveRegistry("embedded", address)


@pytest.fixture(params=["embedded", pytest.param("distribution", marks=pytest.mark.integration)])
def registry(request: pytest.FixtureRequest) -> LiveRegistry:
    """Both registries in turn: the same test holds one to the other."""
    live: LiveRegistry = request.getfixturevalue(request.param)
    return live


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name of this test alone."""
    return "t/" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]


def read_dockerfile_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.is_dir():
        for path in sorted(archive.rglob("Dockerfile*")):
            if path.is_file():
                yield path.relative_to(archive).as_posix(), path.read_bytes()
        return
    with tarfile.open(archive, "r|gz") as tarball:
        for member in tarball:
            if "/Dockerfile" in member.name and (file := tarball.extractfile(member)):
                yield member.name, file.read()


@pytest.fixture(scope="session")
def published_dockerfiles(published_archive: Path) -> list[SourceFile]:
    return list(read_corpus(read_dockerfile_members(published_archive)))
