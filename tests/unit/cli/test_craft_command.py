import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pullstudy.cli import main

STUDY = """
uri: ghcr.io/a/b
sizes: [{total: 53702097.5, percentile: 25}, {total: 19039736629}]
layers: [{exact: 1}, {exact: 9}, {exact: 125}, {exact: 150}]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["pullstudy", "craft", *map(str, arguments)])
    try:
        main()
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def test_the_plan_shows_the_matrix_and_what_is_skipped(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--plan", study) == 0
    out = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    row = next(line for line in out.splitlines() if "9-layers-size-53702097-bytes" in line)
    assert row.split() == [
        "9-layers-size-53702097-bytes",
        "25",
        "9",
        "53,702,097",
        "53,697,024",
    ]
    skipped = out[out.index("skipped") :]
    assert re.search(r"150-layers-size-53702097-bytes +150 layers, Docker takes 125", skipped)
    assert re.search(r"1-layers-size-19039736629-bytes +a layer would have 19,039,736,629", skipped)
    assert re.search(r"^images +5 \(3 skipped\)$", out, re.MULTILINE)
    assert re.search(r"^layers +269 different ones$", out, re.MULTILINE)
    assert re.search(r"^bytes +38,240,579,549 in all, ", out, re.MULTILINE)
    assert re.search(r"^disk +38,240,579,549 bytes", out, re.MULTILINE)
    assert re.search(r"^time +\S+ \S+ to generate them here", out, re.MULTILINE)
    assert "Docker Engine pulls" not in out
    assert run(monkeypatch, "--plan", study, "--beyond-limits") == 0
    out = capsys.readouterr().out
    assert "Docker Engine pulls up to 125 layers; images with more: 2" in out


def test_the_plan_can_be_written_as_a_table(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.parquet"
    assert run(monkeypatch, study, "--plan", "--table", path, "--beyond-limits") == 0
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 8
    assert rows[0]["name"] == "ghcr.io/a/b:1-layers-size-53702097-bytes"
    assert (rows[0]["percentile"], rows[0]["compressed_bytes"]) == (25.0, 53_702_097)
    assert all(row["skipped_because"] is None for row in rows)
    assert run(monkeypatch, study, "--plan", "--table", path) == 0
    rows = pq.read_table(path).to_pylist()
    assert [row["compressed_bytes"] is None for row in rows] == [False] * 5 + [True] * 3
    assert all(row["skipped_because"] for row in rows[5:])


def test_images_are_written_and_tabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, table = tmp_path / "study.yaml", tmp_path / "images.parquet"
    study.write_text(
        """
sizes: [{total: 300000}, {total: 500000, percentile: 50}]
layers: [{exact: 3}]
compression: estargz
reads: 10%
seed: 4
"""
    )
    output = f"oci:{tmp_path / 'oci'}"
    assert run(monkeypatch, study, "--output", output, "--table", table) == 0
    out = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert out.count("  made") == 2
    rows = pq.read_table(table).to_pylist()
    assert [row["digest"] in out for row in rows] == [True, True]
    assert [row["compressed_bytes"] for row in rows] == [300_000, 500_000]
    assert [row["percentile"] for row in rows] == [None, 50.0]
    assert rows[1] | {"digest": "", "uncompressed_bytes": 0} == {
        "study": "study",
        "name": "3-layers-size-500000-bytes-estargz",
        "tag": "3-layers-size-500000-bytes-estargz",
        "copy": 1,
        "percentile": 50.0,
        "target_bytes": 500_000,
        "size_of": "compressed",
        "compressed_bytes": 500_000,
        "uncompressed_bytes": 0,
        "layer_count": 3,
        "shared_layer_count": 0,
        "compression": "estargz",
        "content": "random",
        "files_per_layer": 1,
        "base": None,
        "reads_share": 0.1,
        "platform": "linux/amd64",
        "seed": 4,
        "digest": "",
    }
    assert run(monkeypatch, study, "--output", output) == 0
    assert capsys.readouterr().out.count("  was there") == 2


def test_what_is_skipped_is_said_while_crafting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, output = tmp_path / "study.yaml", f"oci:{tmp_path / 'out'}"
    study.write_text("sizes: [{total: 300000}]\nlayers: [{exact: 1}, {exact: 128}, {exact: 129}]")
    assert run(monkeypatch, study, "--output", output) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"1-layers-size-300000-bytes  300,000 bytes  1 layer  sha256:.*\n", out)
    assert [line.partition("  ")[0] for line in err.splitlines()] == [
        "128-layers-size-300000-bytes", "129-layers-size-300000-bytes",
    ]  # fmt: skip
    assert err.count("skipped: ") == 2
    study.write_text("sizes: [{total: 300000}]\nlayers: [{exact: 128}, {exact: 129}]")
    assert run(monkeypatch, study, "--output", output) == 1
    _, err = capsys.readouterr()
    assert "nothing to make: 128-layers-size-300000-bytes: 128 layers, Docker takes 125" in err
    assert err.endswith("and 1 more are skipped\n")


def test_an_engine_that_is_not_there_is_named(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert run(monkeypatch, study, "--output", "docker") == 1
    err = capsys.readouterr().err
    assert "Docker Engine cannot be reached" in err
    assert "start it or set DOCKER_HOST" in err
    assert err.count("\n") == 1
