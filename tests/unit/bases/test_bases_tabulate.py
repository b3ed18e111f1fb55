"""Classifications as tables: every image is in one of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from pullstudy.bases.score import Classification, classify_paths
from pullstudy.bases.tabulate import write_classifications
from pullstudy.errors import ImageError, InvalidReference, PullstudyError
from pullstudy.registry.transport import RequestFailed
from tests.unit.bases.conftest import make_database

DATABASE = make_database(**{"docker.io/library/a_1": {"/a", "/b"}, "quay.io/x/b_1": {"/b"}})


def test_every_image_is_in_a_table(tmp_path: Path) -> None:
    results: dict[str, Classification | PullstudyError] = {
        "one": classify_paths("one", {"/a", "/c"}, DATABASE),
        "nothing known": classify_paths("nothing known", {"/c"}, DATABASE),
        "gone": RequestFailed("host/v2/x", "not_found", "no such manifest", status=404),
        "hostile": ImageError("hostile: layer sha256:0: ends too early"),
        "No Name": InvalidReference("'No Name': not an image reference"),
    }
    write_classifications(results, tmp_path)
    tables = {path.stem: pq.read_table(path).to_pylist() for path in tmp_path.glob("*.parquet")}
    assert tables["bases"] == [
        {"name": "one", "base": "docker.io/library/a:1", "family": "a", "score": 1.0}
    ]
    assert tables["base_scores"] == [
        {
            "name": "one",
            "base": "docker.io/library/a:1",
            "image_paths": 2,
            "known_paths": 1,
            "shared_paths": 1,
            "base_paths": 2,
            "score": 1.0,
            "jaccard": 1 / 3,
        },
        {
            "name": "one",
            "base": "quay.io/x/b:1",
            "image_paths": 2,
            "known_paths": 1,
            "shared_paths": 0,
            "base_paths": 1,
            "score": 0.0,
            "jaccard": 0.0,
        },
    ]
    reasons = [(row["name"], row["reason"], row["status"]) for row in tables["failures"]]
    assert reasons == [
        ("nothing known", "no_known_path", None),
        ("gone", "not_found", 404),
        ("hostile", "unreadable_image", None),
        ("No Name", "invalid_reference", None),
    ]
    (coverage,) = tables["coverage"]
    assert (coverage["part"], coverage["expected"], coverage["present"]) == ("bases", 5, 1)


def test_no_image_gives_empty_tables(tmp_path: Path) -> None:
    write_classifications({}, tmp_path)
    assert pq.read_table(tmp_path / "bases.parquet").num_rows == 0
