"""Pull studies on real engines: Docker Engine, containerd, and nodes in namespaces with stargz."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.errors import PullError
from pullstudy.pulls.backends import load_backend
from pullstudy.pulls.journal import PullJournal
from pullstudy.pulls.measure import Reporter, measure
from pullstudy.pulls.stargz import build_snapshotter
from pullstudy.registry.server import serve_layout
from tests.integration.conftest import find_program
from tests.integration.runtimes import require, run, run_containerd, run_engine
from tests.unit.pulls.conftest import add_image, make_tar

pytestmark = pytest.mark.integration

CRAFT = """
uri: registry.example/t/pulled
sizes: [{total: 8000000}]
layers: [{exact: 4}]
content: {ratio: 2}
files_per_layer: 3
reads: 20%
"""
STUDY = """
study: s
repetitions: 2
images: [{table: images.parquet}]
registry: {serve: layout}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a layout, its table of images, and the same as eStargz."""
    top = tmp_path_factory.mktemp("pulled")
    for name, more in (("", ""), ("lazy-", "compression: estargz\n")):
        (top / "craft.yaml").write_text(CRAFT + more)
        settings = CraftSettings(f"oci:{top / f'{name}layout'}")
        craft_study(top / "craft.yaml", settings, top / f"{name}images.parquet")
    return top


def measure_with(backend: str, folder: Path, text: str, out: Path) -> list[dict[str, Any]]:
    (folder / "pulls.yaml").write_text(text)
    measure(folder / "pulls.yaml", load_backend(backend), out, Reporter())
    return read(out, "pulls")


def read(out: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


def test_docker_tells_of_each_layer(folder: Path, tmp_path: Path) -> None:
    with run_engine(tmp_path) as host:
        text = f"{STUDY}endpoints: ['{host}']\nstart: true\n"
        pulls = measure_with("docker", folder, text, tmp_path / "out")
        left = run("docker", "--host", host, "images", "--quiet")
        version = run("docker", "--host", host, "version", "--format", "{{.Server.Version}}")
    assert left == "", "images are removed"
    assert [(p["attempt"], p["outcome"], p["error"]) for p in pulls] == [
        (1, "pulled", None),
        (2, "pulled", None),
    ]
    layers = read(tmp_path / "out", "pull_layers")
    manifest = read_manifest(folder / "layout")
    for pull in pulls:
        own = [row for row in layers if row["attempt"] == pull["attempt"]]
        assert [row["layer"] for row in own] == [1, 2, 3, 4]
        for row, layer in zip(own, manifest["layers"], strict=True):
            assert layer["digest"].startswith(row["digest"]), "from the bottom, by its digest"
            assert row["compressed_bytes"] in (None, layer["size"])
        assert 0 < pull["unpack_seconds"] < pull["seconds"]
        assert 0 < pull["download_seconds"] < pull["seconds"]
        assert pull["pulled_at_utc"] < pull["ready_at_utc"]
    [node] = read(tmp_path / "out", "nodes")
    assert node["container_runtime"] == f"docker {version.strip()}"
    assert node["pulls"] == 2


def test_docker_keeps_the_users_own_copy(folder: Path, tmp_path: Path) -> None:
    """An image that was there before is refused; one that a killed run left is the study's own."""
    with run_engine(tmp_path) as host, serve_layout(folder / "layout", repository="t/pulled") as at:
        table = pq.read_table(folder / "images.parquet").to_pylist()
        image = f"{at}/t/pulled:{table[0]['tag']}"
        docker = ("docker", "--host", host)
        run(*docker, "pull", image)
        text = f"study: s\nimages: ['{image}']\nendpoints: ['{host}']\n"
        with pytest.raises(PullError, match="is there already"):
            measure_with("docker", folder, text, tmp_path / "out")
        assert run(*docker, "images", "--quiet"), "nothing is removed"
        with PullJournal(tmp_path / "out/journal.jsonl") as journal:
            journal.begin(f"run1/1/{image}/1", image)
        [pull] = measure_with("docker", folder, text, tmp_path / "out")
        assert pull["outcome"] == "pulled"
        assert run(*docker, "images", "--quiet") == ""


def test_containerd_refuses_what_another_namespace_has(folder: Path, tmp_path: Path) -> None:
    """All namespaces share their content: nothing would be pulled."""
    with (
        run_containerd(tmp_path) as containerd,
        serve_layout(folder / "layout", repository="t/pulled") as at,
    ):
        table = pq.read_table(folder / "images.parquet").to_pylist()
        image = f"{at}/t/pulled:{table[0]['tag']}"
        containerd.ctr("-n", "own", "images", "pull", "--plain-http", image)
        text = f"study: s\nimages: ['{image}']\nendpoints: ['{containerd.socket}']\n"
        text += "registry: {plain_http: true}\n"
        with pytest.raises(PullError, match="already in namespace own"):
            measure_with("containerd", folder, text, tmp_path / "out")
        assert containerd.ctr("-n", "own", "images", "list", "-q").split() == [image]


@pytest.mark.parametrize("backend", ["docker", "containerd"])
def test_an_image_that_does_not_start_was_pulled_nevertheless(backend: str, tmp_path: Path) -> None:
    """It has no program to run: its pull time stands, with the reason."""
    add_image(tmp_path / "layout", "1", [make_tar({"f": b"x" * 1000})])
    runtime = run_engine if backend == "docker" else run_containerd
    with runtime(tmp_path) as running:
        host = running if isinstance(running, str) else running.socket
        text = f"study: s\nimages: ['r.example/t/pulled:1']\nendpoints: ['{host}']\n"
        text += "start: true\nregistry: {serve: layout}\n"
        [pull] = measure_with(backend, tmp_path, text, tmp_path / "out")
    assert (pull["outcome"], pull["ready_at_utc"]) == ("not_started", None)
    assert pull["seconds"] > 0
    assert pull["error"]
    assert read(tmp_path / "out", "nodes")[0]["pulls"] == 1
    assert read(tmp_path / "out", "jobs")[0]["outcome"] == "failed"


def test_docker_fails_with_its_reason(folder: Path, tmp_path: Path) -> None:
    with run_engine(tmp_path) as host:
        text = f"study: s\nimages: ['127.0.0.1:9/a/b:c']\nendpoints: ['{host}']\n"
        text += "limits: {attempts: 1}"
        [pull] = measure_with("docker", folder, text, tmp_path / "out")
    assert pull["outcome"] == "failed"
    assert "connection refused" in pull["error"]


def test_containerd_splits_its_phases(folder: Path, tmp_path: Path) -> None:
    with run_containerd(tmp_path) as containerd:
        text = f"{STUDY}endpoints: ['{containerd.socket}']\nstart: true\n"
        pulls = measure_with("containerd", folder, text, tmp_path / "out")
        assert containerd.ctr("-n", "pullstudy", "images", "list", "-q") == ""
        assert containerd.ctr("-n", "pullstudy", "content", "list", "-q") == ""
    assert {p["outcome"] for p in pulls} == {"pulled"}, pulls[0]["error"]
    for pull in pulls:
        phases = pull["download_seconds"], pull["unpack_seconds"]
        assert sum(phases) == pytest.approx(pull["seconds"])
        assert pull["pulled_at_utc"] < pull["ready_at_utc"]
    assert read(tmp_path / "out", "nodes")[0]["container_runtime"].startswith("containerd 1.")


def test_nodes_in_namespaces_are_capped_and_leave_nothing(folder: Path, tmp_path: Path) -> None:
    """8 MB at 32 Mbit/s take two seconds, on each node for itself."""
    require("containerd", "ctr", "runc", "ip", "tc", "nsenter")
    text = f"{STUDY}nodes: 2\nstart: true\nlimits: {{bandwidth_mbit_per_second: 32}}\n"
    text = text.replace("repetitions: 2", "repetitions: 1")
    before = list_system()
    pulls = measure_with("containerd", folder, text, tmp_path / "out")
    assert [p["node"] for p in pulls] == ["node-1", "node-2"]
    for pull in pulls:
        assert pull["outcome"] == "pulled", pull["error"]
        # The bucket lets its first 256 kB pass at once.
        assert 0.9 * (8e6 - 256e3) * 8 / 32e6 < pull["download_seconds"] < 20
    assert list_system() == before


def test_streaming_is_pulled_at_once_and_ready_later(folder: Path, tmp_path: Path) -> None:
    require("containerd", "ctr", "ctr-remote", "runc", "go", "ip", "nsenter")
    build_snapshotter()
    text = f"{STUDY}strategies: [plain, streaming]\nstart: true\n"
    text = text.replace("images.parquet", "lazy-images.parquet").replace("layout", "lazy-layout")
    text = text.replace("repetitions: 2", "repetitions: 1\nlimits: {bandwidth_mbit_per_second: 32}")
    before = list_system()
    pulls = measure_with("containerd", folder, text, tmp_path / "out")
    by_run = {pull["run"]: pull for pull in pulls}
    plain, lazy = by_run["run1-plain"], by_run["run1-streaming"]
    assert plain["outcome"] == lazy["outcome"] == "pulled", lazy["error"]
    assert lazy["seconds"] < plain["seconds"] / 2
    ready = [(p["ready_at_utc"] - p["requested_at_utc"]).total_seconds() for p in (plain, lazy)]
    assert ready[1] > lazy["seconds"]
    assert lazy["download_seconds"] is None
    nodes = {node["run"]: node["has_streaming"] for node in read(tmp_path / "out", "nodes")}
    assert nodes == {"run1-plain": False, "run1-streaming": True}
    assert list_system() == before


def test_a_throttled_disk_and_a_cache(folder: Path, tmp_path: Path) -> None:
    """16 MB are written at 10 MB/s; with a warm cache nothing is asked beyond it."""
    require("containerd", "ctr", "runc", "ip", "tc", "losetup", "mkfs.ext4")
    find_program("docker-registry")
    text = f"""{STUDY}
runs:
  - {{run: slow, limits: {{disk_mb_per_second: 10}}}}
  - {{run: cold, options: {{cache: cold}}, registry: {{latency_seconds: 0.3}}}}
  - {{run: warm, options: {{cache: warm}}, registry: {{latency_seconds: 0.3}}}}
"""
    before = list_system()
    pulls = measure_with("containerd", folder, text, tmp_path / "out")
    assert {p["outcome"] for p in pulls} == {"pulled"}, [p["error"] for p in pulls]
    cold, warm = ([p["seconds"] for p in pulls if p["run"] == name] for name in ("cold", "warm"))
    assert max(warm) < min(cold), "both pulls of a cold cache go beyond it"
    nodes = {node["run"]: node["boot_disk"] for node in read(tmp_path / "out", "nodes")}
    assert nodes == {"slow": "10 MB/s", "cold": "not limited", "warm": "not limited"}
    assert list_system() == before


def read_manifest(layout: Path) -> dict[str, Any]:
    index = json.loads((layout / "index.json").read_text())
    digest = index["manifests"][0]["digest"]
    manifest: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return manifest


def list_system() -> list[str]:
    """What a lab could leave behind: namespaces, links, mounts, loop devices."""
    found = []
    for command in (["ip", "netns"], ["ip", "-br", "link"], ["losetup", "--list", "-n"]):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found += [line for line in said.splitlines() if "plab" in line or "pullstudy-lab" in line]
    return found + [m for m in Path("/proc/self/mounts").read_text().splitlines() if "-lab-" in m]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert not list_system()
