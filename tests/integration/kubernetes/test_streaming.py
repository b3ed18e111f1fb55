"""Lazy pulling on a real node: the pull looks instant, the files come when they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.craft.study import Surroundings
from pullstudy.pulls.kubernetes.connect import connect
from tests.cluster.build import find_snapshotters
from tests.cluster.lab import Lab, run_lab
from tests.integration.kubernetes.conftest import check_compiler, check_programs
from tests.integration.kubernetes.test_pull_study import pull, read

pytestmark = pytest.mark.integration

SIZE = 40_000_001
STUDY = f"""
sizes: [{{total: {SIZE}}}]
layers: [{{exact: 3}}]
files_per_layer: 8
"""
LABEL = "cloud.google.com/gke-image-streaming"


@pytest.fixture(scope="module")
def lazy_lab() -> Iterator[Lab]:
    check_programs()
    check_compiler()
    with run_lab(nodes=1, snapshotter=find_snapshotters() / "stargz") as running:
        yield running


def craft(lab: Lab, folder: Path, name: str, more: str) -> str:
    folder.mkdir()
    (folder / "craft.yaml").write_text(f"{STUDY}{more}\n")
    settings = CraftSettings(
        "push",
        around=Surroundings(f"{lab.registry}/{name}"),
        plain_http=True,
        journal=folder / "journal.jsonl",
    )
    (image,) = craft_study(folder / "craft.yaml", settings)
    return f"{lab.registry}/{name}:{image.planned.cell.tag}"


def measure(lab: Lab, folder: Path, images: list[str]) -> tuple[list[float], int]:
    """Pull images lazily; returns what each pull took, and the bytes that reached the node."""
    study = {
        "study": "lazy",
        "images": images,
        "strategies": ["streaming"],
        "endpoints": [str(lab.plane.kubeconfig())],
        "registry": {"plain_http": True},
        "options": {"cleaner_image": lab.busybox, "wait": "completed"},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    before = lab.network.sent_bytes(0)
    done = pull(path, "--out", str(folder / "out"))
    assert done.returncode == 0, done.stderr
    rows = {row["image"]: row for row in read(folder / "out", "pulls")}
    assert {row["outcome"] for row in rows.values()} == {"pulled"}
    return [rows[image]["seconds"] for image in images], lab.network.sent_bytes(0) - before


def test_a_lazy_pull_is_instant_and_its_files_come_later(lazy_lab: Lab, tmp_path: Path) -> None:
    node = json.loads(lazy_lab.plane.ask("/api/v1/nodes"))["items"][0]["metadata"]["name"]
    api = connect(str(lazy_lab.plane.kubeconfig()))
    api.call(api.core.patch_node, node, {"metadata": {"labels": {LABEL: "true"}}})
    whole, little, everything = (
        craft(lazy_lab, tmp_path / name, name, more)
        for name, more in (
            ("whole", "reads: 1%"),
            ("little", "compression: estargz\nreads: 1%"),
            ("all", "compression: estargz\nreads: 100%"),
        )
    )
    _, few_bytes = measure(lazy_lab, tmp_path / "little", [little])
    seconds, many_bytes = measure(lazy_lab, tmp_path / "all", [whole, everything])
    # An ordinary image on the same node pays when it is pulled, a lazy one when it is read.
    assert seconds[1] < seconds[0]
    assert few_bytes < SIZE / 2
    assert many_bytes > 2 * SIZE

    # Without the expectation of lazy pulling such nodes are refused.
    study = tmp_path / "all/study.yaml"
    study.write_text(study.read_text().replace("streaming", "plain"))
    refused = pull(study, "--out", str(tmp_path / "other"))
    assert refused.returncode == 1
    assert "image streaming is on at 1 nodes" in refused.stderr
