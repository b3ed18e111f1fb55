"""The database of base images: from a tarball, a folder, an address; the wrong one is refused."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from pullstudy.bases.database import DATABASE_SHA256, load_database
from pullstudy.errors import ArchiveError, ArchiveMissing, ChecksumMismatch
from pullstudy.registry.server import serve_application
from tests.unit.bases.conftest import make_tar

TINY = {
    "docker.io/library/a/1.json": b'{"docker.io/library/a:1": {"fs": ["/x", "/y"], "paths": {}}}',
    "docker.io/library/b/2.json": b'{"docker.io/library/b:2": {"fs": ["/y", "/z"]}}',
    "top.json": b"not of the database",
    ".github/settings.json": b"not of the database",
    "README.md": b"text",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in TINY.items():
        path = tmp_path / "guts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "guts"


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "guts.tar.gz"
    path.write_bytes(gzip.compress(make_tar([(f"top/{n}", c) for n, c in reversed(TINY.items())])))
    return path


def test_folder_tarball_and_address_are_the_same(
    folder: Path, tarball: Path, tmp_path: Path
) -> None:
    app = web.Application()

    async def send(_: web.Request) -> web.Response:
        return web.Response(body=tarball.read_bytes())

    app.add_routes([web.get("/guts.tar.gz", send)])
    with serve_application(app, "127.0.0.1") as address:
        sources = (str(folder), str(tarball), f"http://{address}/guts.tar.gz")
        found = [load_database(source, None, tmp_path / "cache") for source in sources]
    assert found[0] == found[1] == found[2]
    assert found[0].paths == {
        "docker.io/library/a:1": {"/x", "/y"},
        "docker.io/library/b:2": {"/y", "/z"},
    }
    assert found[0].known_paths == {"/x", "/y", "/z"}


def test_the_checksum_is_that_of_sha256sum(folder: Path, tmp_path: Path) -> None:
    command = "find */ -name '*.json' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    run = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=True)
    wanted = run.stdout.split()[0].decode()
    assert load_database(str(folder), wanted, tmp_path).sha256 == wanted
    (folder / "docker.io/library/a/1.json").write_bytes(b"{}")
    with pytest.raises(ChecksumMismatch, match=f"not {wanted}"):
        load_database(str(folder), wanted, tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": {}}', b'{"a": {"fs": [1]}}', b"\xff"])
def test_a_file_of_another_form_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    (folder / "docker.io/library/a/1.json").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a/1\.json: no list of paths") as caught:
        load_database(str(folder), None, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_bases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing, match="holds no JSON file"):
        load_database(str(tmp_path), None, tmp_path)


@pytest.mark.integration
def test_the_published_database_is_the_pinned_one(guts: Path, tmp_path: Path) -> None:
    database = load_database(str(guts), DATABASE_SHA256, tmp_path)
    assert len(database.paths) == 46
    assert len(database.known_paths) == 45_463
    # Early releases of Python 3.11 have no `filter` in tarfile.
    subprocess.run(["tar", "-xzf", guts, "-C", tmp_path], check=True)
    (unpacked,) = tmp_path.glob("shpc-guts-*")
    assert load_database(str(unpacked), DATABASE_SHA256, tmp_path) == database
