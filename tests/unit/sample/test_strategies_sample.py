"""The sample's container sets: shared bases, and nothing that passes for the paper's."""

from pathlib import Path

import pandas as pd

from pullstudy.sample.strategies import write_histograms, write_strategies
from pullstudy.similarity.strategies import read_container_sets

ECOSYSTEM = Path(__file__).parents[3] / "resources/sample/ecosystem.yaml"


def test_images_of_a_set_share_their_base_and_nothing_with_other_sets(tmp_path: Path) -> None:
    write_strategies(ECOSYSTEM, 7, tmp_path)
    sets = {found.name: found for found in read_container_sets(tmp_path / "container_sets.parquet")}
    assert len(sets) == 3
    first, second = sets["containers"].layers[:2]
    assert len(set(first) & set(second)) == 9
    assert not set(sets["containers"].sizes) & set(sets["spack"].sizes)


def test_coverage_says_that_all_is_made_up(tmp_path: Path) -> None:
    write_strategies(ECOSYSTEM, 7, tmp_path / "strategies")
    write_histograms(tmp_path / "histograms")
    for stage in ("strategies", "histograms"):
        [row] = pd.read_parquet(tmp_path / stage / "coverage.parquet").to_dict("records")
        assert row["present"] == 0 < row["expected"]
        assert "made up" in row["detail"]
