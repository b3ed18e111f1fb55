"""The pipeline on a real cluster: from the pull study to figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import yaml

from tests.cluster.lab import Lab
from tests.integration.kubernetes.test_pull_study import assert_clean, count_pulls, read

if TYPE_CHECKING:
    from tests.conftest import Snakemake
    from tests.integration.kubernetes.conftest import WriteStudy

pytestmark = pytest.mark.integration

FIGURES = ("fig_pull_time_by_size", "fig_experiment_time_by_nodes")


def test_a_pull_study_of_a_cluster_ends_in_figures(
    lab: Lab,
    images: list[str],
    write_study: WriteStudy,
    tree: Path,
    snakemake: Snakemake,
    tmp_path: Path,
) -> None:
    config = {
        "study": "cluster",
        "craft": {"output": "none"},
        "pulls": {
            "sources": ["kubernetes"],
            "study": str(write_study("pipeline")),
            "run": "real",
        },
    }
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--configfile", str(tmp_path / "cluster.yaml"), "--", *FIGURES]
    done = snakemake(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tree / "results/cluster"
    for figure in FIGURES:
        assert (results / f"figures/{figure}.pdf").read_bytes().startswith(b"%PDF")
    pulls = results / "tables/pulls_kubernetes"
    nodes = {node.name for node in lab.nodes}
    assert count_pulls(pulls) == {(n, i, 1): 1 for n in nodes for i in images}
    # The figure shows these pulls, all of them and no others.
    by_size = pq.read_table(results / "queries/fig_pull_time_by_size.parquet").to_pylist()
    assert len(by_size) == len(images)
    assert {row["pulls"] for row in by_size} == {len(nodes)}
    seconds = [row["seconds"] for row in read(pulls, "pulls")]
    assert all(min(seconds) <= row["median"] <= max(seconds) for row in by_size)
    assert_clean(lab, images)

    # A measurement is paid for: what is there is not measured again.
    plan = snakemake("-n", *arguments)
    assert "Nothing to be done" in plan.stdout + plan.stderr
