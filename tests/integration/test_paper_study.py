"""The paper from the published archive, with the numbers that must come out."""

import math
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Snakemake

# The whole paper, embeddings included.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def claims(tree: Path, snakemake: Snakemake, published_archive: Path) -> pd.DataFrame:
    result = snakemake(
        "--configfile", "config/paper.yaml", "--config", f"archive={published_archive}"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return pd.read_csv(tree / "results/paper/claims.csv", index_col="id")


# Values of the copy of the archive that developers have; whole counts must be exact.
@pytest.mark.parametrize(
    ("claim", "column", "value"),
    [
        ("dockerfiles", "reproduced", 77449),
        ("research_repositories", "reproduced", 694),
        ("multi_stage", "reproduced", 100 * 1983 / 77449),
        ("multi_stage", "corrected", 100 * 1763 / 77449),
        ("image_size_p25", "reproduced", 53702097),
        ("image_size_p50", "reproduced", 132399102),
        ("image_size_p95", "reproduced", 2775722493.4),
        ("image_size_p100", "reproduced", 19039736629),
        ("layers_median", "reproduced", 9),
        ("layers_mean", "reproduced", 18002 / 1525),
        ("layers_maximum", "reproduced", 163),
        ("layer_size_median", "reproduced", 473568.5),
        ("layer_size_mean", "reproduced", 50501439.21),
        ("base_debian", "reproduced", 393),
        ("base_busybox", "reproduced", 4),
        ("images", "reproduced", 41265),
        ("layer_rows", "reproduced", 334696),
        ("repository_jaccard_mean", "reproduced", 0.0025946056374047),
        ("repository_jaccard_standard_deviation", "reproduced", 0.0394800505865),
        ("performance_study_layers", "reproduced", 258),
        ("performance_study_unique_pulls", "reproduced", 100 * 115 / 258),
        ("best_effort_layers", "reproduced", 120),
        ("spack_jaccard_mean", "reproduced", 0.2),
        ("spack_jaccard_mean", "corrected", 1 / 15),
        ("similarity_dockerfiles", "corrected", 77449),
    ],
)
def test_numbers_that_must_come_out(
    claims: pd.DataFrame, claim: str, column: str, value: float
) -> None:
    assert math.isclose(claims[column].to_dict()[claim], value, rel_tol=1e-10)


def test_verdicts_tell_a_partial_archive_from_a_wrong_number(claims: pd.DataFrame) -> None:
    verdicts = claims["verdict"].to_dict()
    assert verdicts["dockerfiles"] == "reproduced"
    assert verdicts["images"] == "partial"
    assert "listed repositories" in claims["note"].to_dict()["images"]
    assert verdicts["similarity_images"] == "reproduced"
    # The slides and the archive disagree.
    assert verdicts["best_effort_layers"] == "differs"
    assert verdicts["research_repositories_searched"] == "not archived"
    table_one = claims[claims.index.str.startswith(("image_size_p", "base_"))]
    assert set(table_one["verdict"]) == {"reproduced"}
