"""Pull studies: what they may say, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.pulls.measure import plan_clusters, plan_trials
from pullstudy.pulls.study import PullStudy, PullStudyError, load_pull_study

CRAFT = (
    "uri: reg.example/t/crafted\nsizes: [{total: 50000}, {total: 60000}]\nlayers: [{exact: 2}]\n"
)


def load(folder: Path, text: str) -> PullStudy:
    path = folder / "pulls.yaml"
    path.write_text(text)
    return load_pull_study(path)


def test_runs_say_what_differs(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        """
study: lab
seed: 3
repetitions: 2
images: [ghcr.io/a/b:c, "ghcr.io/a/b:9-layers-size-1000000-bytes"]
nodes: [1, 4]
registry: {plain_http: true, latency_seconds: 0.1}
runs:
  - {run: near, registry: {latency_seconds: 0}}
  - {run: far, images: [ghcr.io/a/b:c], nodes: 2}
""",
    )
    near, far = study.runs
    assert (study.name, study.seed, study.repetitions) == ("lab", 3, 2)
    assert near.registry.plain_http and near.registry.latency_seconds == 0
    assert far.registry.plain_http and far.registry.latency_seconds == 0.1
    assert near.cluster_sizes == (1, 4) and far.cluster_sizes == (2,)
    # What the tag of a published image stands for: 5,000,000 for its base are added.
    assert [(i.layers, i.nominal_bytes) for i in near.images] == [(None, None), (9, 6_000_000)]


def test_a_study_without_runs_is_one_run(tmp_path: Path) -> None:
    [run] = load(tmp_path, "study: s\nimages: [a/b]\n").runs
    assert (run.name, run.strategies, run.cluster_sizes) == ("run1", ("plain",), (1,))


def test_crafted_images_come_from_their_table_or_their_study(tmp_path: Path) -> None:
    (tmp_path / "craft.yaml").write_text(CRAFT)
    settings = CraftSettings(f"oci:{tmp_path / 'oci'}")
    craft_study(tmp_path / "craft.yaml", settings, tmp_path / "images.parquet")
    found = [
        load(tmp_path, f"study: s\nimages: [{entry}]\n").runs[0].images
        for entry in (
            "{table: images.parquet}",
            "{craft: craft.yaml}",
            "{table: images.parquet, repository: other.example/x}",
        )
    ]
    assert found[0] == found[1]
    assert [image.reference for image in found[0]] == [
        "reg.example/t/crafted:2-layers-size-50000-bytes",
        "reg.example/t/crafted:2-layers-size-60000-bytes",
    ]
    assert [(image.layers, image.nominal_bytes) for image in found[0]] == [(2, 50000), (2, 60000)]
    assert found[2][0].reference == "other.example/x:2-layers-size-50000-bytes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: [a]", "key 'study' is missing"),
        ("study: s", "key 'images' is missing"),
        ("study: s\nruns: [{run: a}]", "key 'runs.0.images' is missing"),
        ("study: s\nimages: [a/B]", "key 'images.0': 'a/B': not an image reference"),
        ("study: s\nimages: [a]\nnode: 3", "unknown key 'node'; did you mean 'nodes'?"),
        ("study: s\nimages: [a]\nnodes: 0", "key 'nodes'"),
        ("study: s\nimages: [a]\nruns: [{run: x}, {run: x}]", "key 'runs.1.run': 'x' stands twice"),
        ("study: s\nimages: [a]\nlimits: {bandwith_mbit_per_second: 3}", "did you mean 'bandwidth"),
        ("study: s\nimages: [{table: none.parquet}]", "key 'images.0': .*no such file"),
        ("study: s\nimages: [{table: pulls.yaml}]", "key 'images.0': .*no table crafted_images"),
        ("study: s\nimages: [a]\nregistry: {serve: .}", "key 'registry.serve': .*no OCI image"),
        ("study: s\nimages: [a]\nregistry: {mirror: x}", "key 'registry.mirror': 'x'"),
        ("study: s\nimages: [a]\nplatform: arm", "key 'platform'"),
        ("study: s\nimages: [{}]", "key 'images.0'"),
        ("[", "not YAML"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PullStudyError, match=message) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'pulls.yaml'}: ")
    assert "\n" not in str(error.value)


def test_the_order_is_drawn_with_the_seed_and_every_repetition_has_all(tmp_path: Path) -> None:
    images = ", ".join(f"a/b:{n}" for n in range(20))
    text = f"study: s\nimages: [{images}]\nrepetitions: 3\nnodes: [1, 2]\nseed: "
    orders: dict[int, list[tuple[int, int, str]]] = {}
    for seed in (1, 1, 2):
        study = load(tmp_path, text + str(seed))
        order = [
            (trial.cluster.size, trial.attempt, trial.image.reference)
            for plan in plan_clusters(study)
            for trial in plan_trials(plan, study)
        ]
        assert orders.setdefault(seed, order) == order
    assert orders[1] != orders[2]
    assert sorted(orders[1]) == sorted(orders[2])
    blocks = [orders[1][start : start + 20] for start in range(0, len(orders[1]), 20)]
    for block in blocks:
        assert len({row[:2] for row in block}) == 1
        assert len({row[2] for row in block}) == 20
    assert [row[2] for row in blocks[0]] != [row[2] for row in blocks[1]]


def test_each_strategy_is_a_run_of_its_own(tmp_path: Path) -> None:
    study = load(tmp_path, "study: s\nimages: [a]\nstrategies: [plain, streaming]\n")
    assert sorted((p.run, p.strategy) for p in plan_clusters(study)) == [
        ("run1-plain", "plain"),
        ("run1-streaming", "streaming"),
    ]
