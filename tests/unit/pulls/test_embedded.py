"""Node processes that pull from a real (embedded) registry, which fails in every way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pullstudy.pulls.backend import ClusterPlan, Trial, TrialResult
from pullstudy.pulls.embedded import Embedded
from pullstudy.pulls.images import PulledImage
from pullstudy.pulls.study import Limits, PullStudyError, RegistrySettings, Run, load_pull_study
from pullstudy.registry.layout import ImageLayout
from pullstudy.registry.server import serve_layout
from tests.unit.pulls.conftest import TARS, FaultyRegistry, add_image, add_index, make_tar


def plan(store: Path, size: int = 1, **settings: Any) -> ClusterPlan:
    store.mkdir(exist_ok=True)
    run = Run(name="r", images=(), options={"store": str(store)}, **settings)
    return ClusterPlan("s", "r", run, "plain", size)


def pull_once(cluster_plan: ClusterPlan, image: str) -> TrialResult:
    with Embedded().open(cluster_plan) as cluster:
        return cluster.pull(Trial(cluster_plan, PulledImage(reference=image), 1))


def error_of(result: TrialResult) -> str:
    [pull] = result.pulls
    assert pull.outcome == "failed"
    assert pull.seconds is None
    assert result.job is not None and result.job.outcome == "failed"
    assert pull.error is not None
    return pull.error


def children() -> Iterator[int]:
    """The node processes of this test."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"embedded_node" in (folder / "cmdline").read_bytes():
                yield int(folder.name)
        except OSError:
            continue


@pytest.mark.parametrize("tag", ["small", "zstd"])
def test_a_pull_is_measured_layer_by_layer(
    faulty: FaultyRegistry, tmp_path: Path, tag: str
) -> None:
    begun = time.time()
    result = pull_once(plan(tmp_path / "store", 2), faulty.image(tag))
    took = time.time() - begun
    assert [(pull.node, pull.outcome) for pull in result.pulls] == [
        ("node-1", "pulled"),
        ("node-2", "pulled"),
    ]
    for pull in result.pulls:
        layers = [row for row in result.layers if row.node == pull.node]
        assert [row.layer for row in layers] == [1, 2, 3]
        assert [row.uncompressed_bytes for row in layers] == list(map(len, TARS))
        assert pull.uncompressed_bytes == sum(map(len, TARS))
        assert pull.layers is None, "only the maker of an image says how many it has"
        phases = (pull.download_seconds, pull.decompress_seconds, pull.unpack_seconds)
        assert all(phase is not None and phase > 0 for phase in phases)
        assert pull.seconds is not None and 0 < pull.seconds < took
        assert sum(p or 0 for p in phases[1:]) < pull.seconds
    assert not list((tmp_path / "store").iterdir())


def test_the_bytes_on_the_wire_are_those_of_manifest_config_and_layers(
    faulty: FaultyRegistry, tmp_path: Path
) -> None:
    [pull] = pull_once(plan(tmp_path / "store"), faulty.image("small")).pulls
    sizes = {p.name: p.stat().st_size for p in (faulty.root / "blobs/sha256").iterdir()}
    tagged = ImageLayout(faulty.root).repositories["t/pulled"].tags["small"]
    fetched = {digest.partition(":")[2] for digest in (*faulty.asked, tagged)}
    assert len(fetched) == 3 + 2
    assert pull.compressed_bytes == sum(sizes[name] for name in fetched)


def test_a_layer_that_stands_twice_is_downloaded_once(
    faulty: FaultyRegistry, tmp_path: Path
) -> None:
    tar = make_tar({"a": b"a" * 1000})
    add_image(faulty.root, "twice", [tar, make_tar({"b": b"b"}), tar])
    with serve_layout(faulty.root) as address:
        result = pull_once(plan(tmp_path / "store"), f"{address}/t/pulled:twice")
    assert result.layers[0].digest == result.layers[2].digest
    assert result.pulls[0].outcome == "pulled"


@pytest.mark.parametrize("statuses", [[503, 500], [429, 502]])
def test_what_passes_is_borne(faulty: FaultyRegistry, tmp_path: Path, statuses: list[int]) -> None:
    faulty.statuses = statuses
    result = pull_once(plan(tmp_path / "store"), faulty.image("small"))
    assert result.pulls[0].outcome == "pulled"
    assert len(faulty.asked) == 4 + 2


def test_a_registry_that_keeps_failing_fails_the_pull(
    faulty: FaultyRegistry, tmp_path: Path
) -> None:
    faulty.statuses = [503] * 50
    limits = Limits(attempts=2)
    error = error_of(pull_once(plan(tmp_path / "store", limits=limits), faulty.image("small")))
    assert "503" in error and "\n" not in error
    assert not list((tmp_path / "store").iterdir())


def test_a_broken_connection_goes_on_where_it_was(faulty: FaultyRegistry, tmp_path: Path) -> None:
    faulty.broken = 2
    result = pull_once(plan(tmp_path / "store"), faulty.image("small"))
    assert result.pulls[0].outcome == "pulled", result.pulls[0].error


def test_a_stalled_registry_is_given_up(faulty: FaultyRegistry, tmp_path: Path) -> None:
    faulty.stalled = 3
    limits = Limits(attempts=1, stall_seconds=0.3)
    error = error_of(pull_once(plan(tmp_path / "store", limits=limits), faulty.image("small")))
    assert "time" in error


def test_a_pull_that_takes_too_long_ends(faulty: FaultyRegistry, tmp_path: Path) -> None:
    faulty.stalled = 9
    cluster_plan = plan(tmp_path / "store", limits=Limits(timeout_seconds=0.5))
    with Embedded().open(cluster_plan) as cluster:
        trial = Trial(cluster_plan, PulledImage(reference=faulty.image("small")), 1)
        assert error_of(cluster.pull(trial)) == "no end within 0.5 s"
        faulty.stalled = 0
        assert cluster.pull(trial).pulls[0].outcome == "pulled", "the node was started anew"


def test_wrong_bytes_are_refused(faulty: FaultyRegistry, tmp_path: Path) -> None:
    faulty.flipped = {f"sha256:{p.name}" for p in (faulty.root / "blobs/sha256").iterdir()}
    error = error_of(pull_once(plan(tmp_path / "store"), faulty.image("small")))
    assert "another digest" in error


def test_an_image_that_is_not_there(faulty: FaultyRegistry, tmp_path: Path) -> None:
    error = error_of(pull_once(plan(tmp_path / "store"), faulty.image("none")))
    assert "no such manifest" in error


def test_of_an_index_the_platform_is_pulled(faulty: FaultyRegistry, tmp_path: Path) -> None:
    add_index(faulty.root, "many", {"amd64": "small", "arm64": "zstd"})
    with serve_layout(faulty.root) as address:
        image, store = f"{address}/t/pulled:many", tmp_path / "store"
        amd64, arm64 = (
            pull_once(plan(store, platform=f"linux/{name}"), image) for name in ("amd64", "arm64")
        )
        assert "choose of linux/amd64, linux/arm64" in error_of(
            pull_once(plan(store, platform="linux/riscv64"), image)
        )
    layers = [[row.digest for row in result.layers] for result in (amd64, arm64)]
    small = pull_once(plan(tmp_path / "store"), faulty.image("small"))
    assert layers[0] == [row.digest for row in small.layers]
    assert set(layers[0]).isdisjoint(layers[1])


def test_a_killed_node_is_a_failed_pull_and_comes_back(
    faulty: FaultyRegistry, tmp_path: Path
) -> None:
    faulty.stalled = 9
    cluster_plan = plan(tmp_path / "store", 2)
    with Embedded().open(cluster_plan) as cluster:
        trial = Trial(cluster_plan, PulledImage(reference=faulty.image("small")), 1)
        nodes = list(children())
        assert len(nodes) == 2
        for pid in nodes:
            threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
        result = cluster.pull(trial)
        assert {pull.error for pull in result.pulls} == {"the node was killed by SIGKILL"}
        faulty.stalled = 0
        assert {pull.outcome for pull in cluster.pull(trial).pulls} == {"pulled"}
    assert not list(children())


def test_the_network_of_a_node_is_limited(faulty: FaultyRegistry, tmp_path: Path) -> None:
    """2 MB at 16 Mbit/s take a second, on each node for itself."""
    noise = os.urandom(1_000_000)
    tars = [make_tar({"a": noise}), make_tar({"b": noise})]
    add_image(faulty.root, "noise", tars)
    limits = Limits(bandwidth_mbit_per_second=16)
    with serve_layout(faulty.root) as address:
        result = pull_once(plan(tmp_path / "store", 2, limits=limits), f"{address}/t/pulled:noise")
    for pull in result.pulls:
        assert pull.compressed_bytes is not None
        least = pull.compressed_bytes / 2e6
        assert pull.download_seconds is not None
        assert least * 0.9 < pull.download_seconds


def test_every_request_waits_for_the_latency(faulty: FaultyRegistry, tmp_path: Path) -> None:
    """Manifest, config and one layer at once: five requests one after the other."""
    limits = Limits(layers_at_once=1)
    registry = RegistrySettings(latency_seconds=0.2)
    slow = plan(tmp_path / "store", registry=registry, limits=limits)
    [pull] = pull_once(slow, faulty.image("small")).pulls
    assert pull.seconds is not None and pull.seconds >= 5 * 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start: true", "'start'"),
        ("endpoints: [a]", "'endpoints'"),
        ("options: {stroe: /tmp}", "'options.stroe'"),
        ("limits: {disk_mb_per_second: 3}", "'limits'"),
    ],
)
def test_what_only_engines_can_do_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"study: s\nimages: [a/b]\n{text}\n")
    with pytest.raises(PullStudyError, match=message):
        Embedded().check(load_pull_study(path))
