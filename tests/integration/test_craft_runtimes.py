"""Crafted images pull and start under Docker Engine, containerd and the stargz snapshotter."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest
from typer.testing import CliRunner

from pullstudy.cli import app
from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.craft.study import Surroundings
from pullstudy.registry.push import RepositoryPusher
from tests.integration.runtimes import (
    Containerd,
    require,
    run,
    run_containerd,
    run_engine,
    run_snapshotter,
)
from tests.integration.wires import serve_wire

if TYPE_CHECKING:
    from pullstudy.craft.build import CraftedImage
    from tests.integration.conftest import LiveRegistry

pytestmark = pytest.mark.integration

READY = "pullstudy: ready\n"
STUDY = """
sizes: [{total: 9000001}]
layers: [{exact: 6}]
files_per_layer: 4
reads: 30%
"""
VARIANTS = {
    "gzip": "",
    "ratio": "content: {ratio: 2.6}",
    "zeros": "content: zeros\nsize_of: uncompressed",
    "none": "compression: none",
    "estargz": "compression: estargz\ncontent: {ratio: 2}",
    "level": "level: 6\ncontent: {ratio: 2.6}",
    "zstd": "compression: zstd\ncontent: {ratio: 2.6}",
    "zstd-level": "compression: zstd\nlevel: 3\ncontent: {ratio: 2.6}",
}
# Docker Engine 20.10 reads no Zstandard.
FOR_DOCKER = [name for name in VARIANTS if not name.startswith("zstd")]

PushStudy = Callable[..., "list[CraftedImage]"]


@pytest.fixture
def push_study(distribution: LiveRegistry, repository: str, tmp_path: Path) -> PushStudy:
    """Push a study to the real registry; gives the images."""

    def push(text: str, more: str = "", *, beyond_limits: bool = False) -> list[CraftedImage]:
        (tmp_path / "study.yaml").write_text(f"{text}\n{more}\n")
        settings = CraftSettings(
            "push",
            around=Surroundings(f"{distribution.address}/{repository}"),
            beyond_limits=beyond_limits,
            journal=tmp_path / "journal.jsonl",
        )
        return craft_study(tmp_path / "study.yaml", settings)

    return push


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with run_containerd(tmp_path_factory.mktemp("containerd")) as client:
        yield client


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_engine(tmp_path_factory.mktemp("engine")) as host:
        yield host


@pytest.mark.parametrize("variant", VARIANTS)
def test_containerd_pulls_and_starts_it(
    variant: str,
    containerd: Containerd,
    push_study: PushStudy,
    distribution: LiveRegistry,
    repository: str,
) -> None:
    (image,) = push_study(STUDY, VARIANTS[variant])
    reference = f"{distribution.address}/{repository}:{image.planned.cell.tag}"
    containerd.pull(reference)
    listed = containerd.ctr("images", "list", f"name=={reference}")
    assert image.digest in listed
    assert containerd.start(reference) == READY
    containerd.ctr("images", "remove", "--sync", reference)


@pytest.mark.parametrize("variant", FOR_DOCKER)
def test_docker_pulls_and_starts_it(
    variant: str,
    engine: str,
    push_study: PushStudy,
    distribution: LiveRegistry,
    repository: str,
) -> None:
    (image,) = push_study(STUDY, VARIANTS[variant])
    reference = f"{distribution.address}/{repository}:{image.planned.cell.tag}"
    assert image.digest in run("docker", "--host", engine, "pull", reference)
    said = run("docker", "--host", engine, "run", "--rm", "--network", "none", reference)
    assert said == READY
    run("docker", "--host", engine, "rmi", reference)


def test_docker_loads_it_without_a_registry(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    study = tmp_path / "study.yaml"
    study.write_text(f"uri: example.com/a/loaded\n{STUDY}copies: 2\nshared_layers: 2")
    images = craft_study(study, CraftSettings("docker"))
    client = docker.from_env()
    layers = []
    for image in images:
        reference = f"example.com/a/loaded:{image.planned.cell.tag}"
        loaded = client.images.get(reference)
        layers.append(loaded.attrs["RootFS"]["Layers"])
        said = client.containers.run(reference, remove=True, network_mode="none")
        assert said.decode() == READY
    assert [len(each) for each in layers] == [6, 6]
    assert layers[0][:2] == layers[1][:2]
    assert set(layers[0][2:]).isdisjoint(layers[1][2:])


def test_what_docker_holds_is_what_a_push_makes(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image ID is the digest of the config, which names every unpacked layer."""
    monkeypatch.setenv("DOCKER_HOST", engine)
    study = tmp_path / "study.yaml"
    study.write_text(f"uri: example.com/a/same\n{STUDY}seed: 3")
    (loaded,) = craft_study(study, CraftSettings("docker"))
    (written,) = craft_study(study, CraftSettings(f"oci:{tmp_path / 'oci'}"))
    assert loaded.digest == written.digest
    blobs = tmp_path / "oci/blobs/sha256"
    manifest = json.loads((blobs / written.digest.removeprefix("sha256:")).read_bytes())
    image = docker.from_env().images.get(f"example.com/a/same:{loaded.planned.cell.tag}")
    assert image.id == manifest["config"]["digest"]


def test_the_layer_limit_of_docker_is_where_the_plan_says(
    engine: str,
    containerd: Containerd,
    push_study: PushStudy,
    distribution: LiveRegistry,
    repository: str,
) -> None:
    text = "sizes: [{total: 1000000}]\nlayers: [{exact: 125}, {exact: 126}, {exact: 140}]"
    # Docker takes its time over each layer: let it see most of them once only.
    images = push_study(text, "shared_layers: 120", beyond_limits=True)
    references = [f"{distribution.address}/{repository}:{i.planned.cell.tag}" for i in images]
    run("docker", "--host", engine, "pull", references[0])
    assert (
        run("docker", "--host", engine, "run", "--rm", "--network", "none", references[0]) == READY
    )
    refused = subprocess.run(
        ["docker", "--host", engine, "pull", references[1]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "max depth exceeded" in refused.stderr
    # What the inspection says before a pull is what the engine says after it.
    told = CliRunner().invoke(app, ["inspect", *references, "--plain-http", "--no-local", "--json"])
    engine_refuses = [
        any("Docker Engine" in refusal["who"] for refusal in image["refused_by"])
        for image in json.loads(told.stdout)["images"]
    ]
    assert engine_refuses == [False, True, True]
    containerd.pull(references[2])
    assert containerd.start(references[2]) == READY


def test_estargz_is_pulled_lazily(
    tmp_path: Path,
    push_study: PushStudy,
    distribution: LiveRegistry,
    repository: str,
) -> None:
    """Of 60 MB the pull takes next to nothing, and a start little more than its share."""
    require("ctr-remote")
    study = """
sizes: [{total: 60000000}]
layers: [{exact: 3}]
files_per_layer: 20
compression: estargz
"""
    (tmp_path / "snapshotter").mkdir()
    (tmp_path / "containerd").mkdir()
    traffic: dict[str, int] = {}
    with (
        run_snapshotter(tmp_path / "snapshotter") as socket,
        run_containerd(tmp_path / "containerd", socket) as client,
    ):
        for seed, share in enumerate(("0%", "6.4%", "100%")):
            # Other bytes each time: the snapshotter keeps what it has read.
            (image,) = push_study(study, f"reads: {share}\nseed: {seed}")
            with serve_wire(distribution.address) as wire:
                reference = f"{wire.address}/{repository}:{image.planned.cell.tag}"
                client.pull_lazily(reference)
                assert client.start(reference, "stargz") == READY
                traffic[share] = wire.received_bytes
                client.ctr("images", "remove", "--sync", reference)
    assert traffic["0%"] < 1_000_000
    assert 3_800_000 < traffic["6.4%"] < 12_000_000
    assert traffic["100%"] > 59_000_000


def test_skopeo_and_umoci_agree(
    push_study: PushStudy, distribution: LiveRegistry, repository: str, tmp_path: Path
) -> None:
    require("skopeo", "umoci")
    for variant in ("gzip", "estargz", "zstd"):
        (image,) = push_study(STUDY, VARIANTS[variant])
        tag = image.planned.cell.tag
        source = f"docker://{distribution.address}/{repository}:{tag}"
        # Verifies every digest on its way, and that unpacked layers are what the config says.
        run("skopeo", "copy", "--src-tls-verify=false", source, f"oci:{tmp_path / 'copy'}:{tag}")
        shown = json.loads(run("skopeo", "inspect", "--tls-verify=false", source))
        assert shown["Digest"] == image.digest
        if variant == "gzip":
            run("umoci", "unpack", "--image", f"{tmp_path / 'copy'}:{tag}", tmp_path / "bundle")
            files = [
                path for path in (tmp_path / "bundle/rootfs/crafted").rglob("*") if path.is_file()
            ]
            assert len(files) == 24
            assert os.access(tmp_path / "bundle/rootfs/pullstudy/start", os.X_OK)


def test_an_image_of_the_registry_can_be_the_base(
    push_study: PushStudy, distribution: LiveRegistry, repository: str, containerd: Containerd
) -> None:
    (below,) = push_study(STUDY)
    base = f"{distribution.address}/{repository}:{below.planned.cell.tag}"
    text = "sizes: [{total: 20000000}]\nlayers: [{exact: 8}]\nreads: 5%"
    (image,) = push_study(text, f"base: {base}")
    assert (image.compressed_bytes, image.layer_count) == (20_000_000, 8)
    pusher = RepositoryPusher(distribution.address, repository)
    found = pusher.get_manifest(image.digest, ["application/vnd.oci.image.manifest.v1+json"])
    assert found is not None
    lower = pusher.get_manifest(below.digest, ["application/vnd.oci.image.manifest.v1+json"])
    assert lower is not None
    assert json.loads(found[0])["layers"][:6] == json.loads(lower[0])["layers"]
    reference = f"{distribution.address}/{repository}:{image.planned.cell.tag}"
    containerd.pull(reference)
    assert containerd.start(reference) == READY
