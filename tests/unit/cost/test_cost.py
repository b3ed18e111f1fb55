"""What pulling costs: the slides' numbers, the exact ones, and real container sets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.cost.examples import identical_images, read_slides
from pullstudy.cost.formula import Cluster, Speed, Workload, cost_of, parse_speeds
from pullstudy.cost.tabulate import write_costs
from pullstudy.errors import ConfigError
from pullstudy.tables import write_empty, write_table

ROOT = Path(__file__).parents[3]
SLIDES = ROOT / "resources/cost.yaml"
SCHEMA = ROOT / "workflow/schemas/cost.schema.json"
SETTINGS = {"cluster_sizes": [4, 32], "dollars_per_node_hour": 2.5, "megabytes_per_second": [3, 5]}
NO_SPEED = pa.table({"slow_megabytes_per_second": pa.array([], pa.float64())})


def write_sets(folder: Path) -> Path:
    columns = {
        "set_name": ["a", "b"], "layer_rows": [9, 4], "image_layers": [8, 4], "images": [2, 1],
        "digests": [5, 4], "image_bytes": [800_000_000, 1_000],
        "distinct_bytes": [500_000_000, 1_000],
        "unique_share_as_published": [0.5, 1.0], "unique_share": [0.5, 1.0],
        "unique_bytes_share": [0.5, 1.0],
    }  # fmt: skip
    write_table("build_strategies", folder / "sets.parquet", columns)
    return folder / "sets.parquet"


def tabulate(tmp_path: Path, strategies: Path, speed: pa.Table) -> list[dict[str, object]]:
    pq.write_table(speed, tmp_path / "speed.parquet")
    slides = read_slides(SLIDES, SCHEMA)
    out = tmp_path / "costs.parquet"
    write_costs(slides, strategies, tmp_path / "speed.parquet", SETTINGS, out)
    return list(pq.read_table(out).to_pylist())


def test_the_slides_reckoning(tmp_path: Path) -> None:
    """Against the numbers that stand on the slides."""
    write_empty("build_strategies", tmp_path / "none.parquet")
    rows = tabulate(tmp_path, tmp_path / "none.parquet", NO_SPEED)
    published = {
        (row["scenario"], row["speed"]): row for row in rows if row["definition"] == "as_published"
    }
    slides = {
        ("applications", "fast"): (39, 384, 345, 301),
        ("applications", "slow"): (64, 640, 576, 503),
        ("machine learning", "fast"): (732, 7318, 110 * 60, 5768),
        ("machine learning", "slow"): (1219, 12198, 183 * 60, 9595.30),
    }
    assert published.keys() == slides.keys()
    for key, numbers in slides.items():
        row = published[key]
        names = ("shared_seconds", "separate_seconds", "saved_seconds", "saved_dollars")
        # The slides round two of the times down, and dollars to whole ones.
        assert [row[name] for name in names] == pytest.approx(numbers, abs=1.0)
    assert published["machine learning", "slow"]["saved_dollars"] == pytest.approx(
        9595.30, abs=5e-3
    )


def test_real_sets_cost_by_their_own_layers(tmp_path: Path) -> None:
    measured = {"slow": 20.0, "typical": 25.0, "fast": 50.0}
    speed = pa.table({f"{name}_megabytes_per_second": [v] for name, v in measured.items()})
    rows = tabulate(tmp_path, write_sets(tmp_path), speed)
    (row,) = [
        row for row in rows
        if row["scenario"] == "a" and row["speed"] == "typical" and row["nodes"] == 4
    ]  # fmt: skip
    assert row["speed_source"] == "measured"
    assert (row["shared_seconds"], row["separate_seconds"]) == (20.0, 32.0)
    assert row["saved_dollars"] == pytest.approx(4 * 2.5 * 12 / 3600)
    # 2 examples as published at 2 speeds; 4 workloads at 2 stated and 3 measured, on 2 clusters.
    assert len(rows) == 4 + 4 * 5 * 2


def test_without_measurements_speeds_are_assumed(tmp_path: Path) -> None:
    rows = tabulate(tmp_path, write_sets(tmp_path), NO_SPEED)
    assumed = {row["megabytes_per_second"] for row in rows if row["speed_source"] == "assumed"}
    assert assumed == {3.0, 5.0}


@given(
    st.integers(1, 50),
    st.dictionaries(st.integers(0, 10**11), st.integers(1, 200), min_size=1, max_size=5),
    st.integers(1, 10**5),
)
def test_identical_images_against_exact_fractions(
    images: int, layers: dict[int, int], nodes: int
) -> None:
    row = cost_of(identical_images("x", images, layers), Speed("typical", "stated", 7.5),
                  Cluster(nodes, 1.25))  # fmt: skip
    size = sum(Fraction(size * count) for size, count in layers.items())
    saved = size * (images - 1) / Fraction(7_500_000)
    assert row["saved_seconds"] == pytest.approx(float(saved), rel=1e-9, abs=1e-9)
    dollars = saved * nodes * Fraction(5, 4) / 3600
    assert row["saved_dollars"] == pytest.approx(float(dollars), rel=1e-9, abs=1e-9)
    assert row["separate_layers"] == images * sum(layers.values())


def test_speeds_are_read() -> None:
    assert [s.megabytes_per_second for s in parse_speeds("5-3")] == [3.0, 5.0]
    assert parse_speeds("25") == (Speed("typical", "stated", 25.0),)
    for wrong in ("", "fast", "0", "-3", "3-", "1-2-3", "nan", "inf"):
        with pytest.raises(ConfigError, match="no speed"):
            parse_speeds(wrong)


def test_a_wrong_example_is_named(tmp_path: Path) -> None:
    document = yaml.safe_load(SLIDES.read_text())
    document["examples"][0]["layers"][0]["megabyte"] = 3
    (tmp_path / "cost.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match="did you mean 'megabytes'"):
        read_slides(tmp_path / "cost.yaml", SCHEMA)


def test_a_workload_keeps_its_two_cases_apart() -> None:
    row = cost_of(Workload("x", 2, 1, 2, 10, 30), Speed("fast", "stated", 1.0), Cluster(1, 3600.0))
    assert row["shared_dollars"] == pytest.approx(1e-5)
    assert row["separate_dollars"] == pytest.approx(3e-5)
