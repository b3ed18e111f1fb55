"""Published cosine histograms as a table: whole and damaged."""

from pathlib import Path

import pyarrow.parquet as pq

from pullstudy.archive.histograms import HISTOGRAMS, tabulate_histograms


def write(folder: Path, name: str, lines: list[str]) -> None:
    path = next(path for path, corpus in HISTOGRAMS.items() if corpus == name)
    target = folder / "experiments" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join([",counts,cosine", *lines]))


def read(path: Path) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in pq.read_table(path).to_pylist()]


def test_bins_with_their_edges_and_halves(tmp_path: Path) -> None:
    write(tmp_path, "images", ["0,6021.0,-0.5 to -0.4", "1,12.5,0.9 to 1.0"])
    tabulate_histograms(tmp_path, tmp_path / "out")
    assert read(tmp_path / "out/published_cosine.parquet") == [
        ("images", -0.5, -0.4, 6021.0),
        ("images", 0.9, 1.0, 12.5),
    ]
    [coverage] = read(tmp_path / "out/coverage.parquet")
    assert coverage[:3] == ("published_cosine", 3, 1)
    assert read(tmp_path / "out/failures.parquet") == []


def test_a_broken_line_is_reported_and_the_others_stay(tmp_path: Path) -> None:
    write(tmp_path, "dockerfiles", ["0,many,-0.5 to -0.4", "1", "2,7,0.0 to 0.1"])
    tabulate_histograms(tmp_path, tmp_path / "out")
    assert read(tmp_path / "out/published_cosine.parquet") == [("dockerfiles", 0.0, 0.1, 7.0)]
    failures = read(tmp_path / "out/failures.parquet")
    assert [failure[2] for failure in failures] == ["line 2", "line 3"]
