"""The commands that read images: what they print, write and end with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from pullstudy.bases.limits import ReadLimits
from pullstudy.cli.bases import bases
from pullstudy.cli.compare import compare
from pullstudy.errors import ChecksumMismatch, ConfigError
from pullstudy.registry.server import serve_layout
from tests.unit.bases.conftest import add_to_registry, layer_of, make_image, write_layout

GUTS = {
    "docker.io/library/a/1.json": {"docker.io/library/a:1": {"fs": ["/x", "/y"]}},
    "docker.io/library/a/2.json": {"docker.io/library/a:2": {"fs": ["/x", "/y", "/z"]}},
}
LIBRARY = layer_of(("x", b"1"), ("y", b"2"))

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a small database, in a folder with images `one`, `two` and `hostile`."""
    for name, content in GUTS.items():
        path = tmp_path / "guts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    images = {
        "one": make_image(LIBRARY),
        "two": make_image(LIBRARY, layer_of(("app[1]", b"program"))),
        "hostile": make_image(layer_of(("../x", b""))),
        "strange": make_image(layer_of(("of/its/own", b""))),
    }
    write_layout(tmp_path / "images", images)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    app = typer.Typer()
    app.command()(bases)
    app.command()(compare)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--database", "guts"], catch_exceptions=False)

    return call


def rows_of(result: Result) -> list[list[str]]:
    lines = [line for line in result.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]


def test_bases_prints_a_table(run: Run) -> None:
    result = run("bases", "oci:images:one", "oci:images:strange", "--top", "2")
    assert result.exit_code == 0
    assert rows_of(result) == [
        ["oci:images:one", "docker.io/library/a:1", "1.0000", "1.0000", "2", "2", "2"],
        ["oci:images:one", "docker.io/library/a:2", "1.0000", "0.6667", "2", "2", "2"],
        ["oci:images:strange", "none: no path is known", "", "", "", "", "1"],
    ]


def test_bases_says_when_the_jaccard_index_disagrees(run: Run, tmp_path: Path) -> None:
    lists = {"docker.io/a:3": ["/x", "/y", *(f"/{number}" for number in range(9))]}
    lists |= {"docker.io/a:4": ["/x"]}
    for name, fs in lists.items():
        path = tmp_path / "guts/docker.io" / f"{name[-1]}.json"
        path.write_text(json.dumps({name: {"fs": fs}}))
    for path in (tmp_path / "guts/docker.io/library/a").iterdir():
        path.unlink()
    result = run("bases", "oci:images:one")
    assert rows_of(result)[0][1:3] == ["docker.io/a:3", "1.0000"]
    assert "by the Jaccard index docker.io/a:4 is closer (0.5000 against 0.1818)" in result.stdout


def test_bases_prints_json_and_writes_tables(run: Run, tmp_path: Path) -> None:
    result = run("bases", "oci:images:two", "--json", "--out", "tables")
    (image,) = json.loads(result.stdout)["images"]
    assert (image["base"], image["score"]) == ("docker.io/library/a:1", 1.0)
    assert image["jaccard"] == pytest.approx(2 / 3)
    assert (image["image_paths"], image["layers"]) == (3, 2)
    assert pq.read_table(tmp_path / "tables/bases.parquet").num_rows == 1
    assert pq.read_table(tmp_path / "tables/base_scores.parquet").num_rows == 2


def test_bases_reports_what_fails_and_does_the_rest(run: Run, tmp_path: Path) -> None:
    result = run("bases", "oci:images:hostile", "oci:images:one", "--out", "tables")
    assert result.exit_code == 1
    assert "oci:images:one" in result.stdout
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("pullstudy: oci:images:hostile: layer sha256:")
    assert pq.read_table(tmp_path / "tables/failures.parquet").num_rows == 1


def test_bases_reads_registries(run: Run, tmp_path: Path) -> None:
    add_to_registry(tmp_path / "registry", "app", {"latest": make_image(LIBRARY)})
    with serve_layout(tmp_path / "registry") as address:
        plain = run("bases", f"{address}/app", "--plain-http")
        mirrored = run("bases", "docker.io/app/x", "--mirror", f"*=http://{address}")
    assert rows_of(plain)[0][1:3] == ["docker.io/library/a:1", "1.0000"]
    assert mirrored.exit_code == 1
    assert "404" in mirrored.stderr


def test_limits_are_options(run: Run) -> None:
    result = run("bases", "oci:images:one", "--max-files", "1")
    assert "more than 1 files and folders" in result.stderr
    result = run("compare", "oci:images:one", "oci:images:two", "--max-unpacked-gb", "0.001")
    assert result.exit_code == 0


@pytest.mark.parametrize("command", [bases, compare])
def test_the_limits_of_the_commands_are_those_of_the_package(command: Callable[..., None]) -> None:
    defaults = {p.name: p.default for p in inspect.signature(command).parameters.values()}
    limits = ReadLimits()
    assert defaults["max_unpacked_gb"] * 10**9 == limits.unpacked_bytes_max
    assert defaults["max_files"] == limits.entries_max
    assert defaults["max_seconds"] == limits.seconds_max


def test_the_checksum_of_a_database_is_compared(run: Run) -> None:
    with pytest.raises(ChecksumMismatch):
        run("bases", "oci:images:one", "--database-sha256", "0" * 64)


def test_compare_prints_levels(run: Run) -> None:
    result = run("compare", "oci:images:one", "oci:images:two")
    assert result.exit_code == 0
    found = {level: cells[:5] for level, *cells in rows_of(result)}
    assert found["layers"] == ["no", "1", "1", "2", "0.6667"]
    assert found["paths"] == ["no", "2", "2", "3", "0.8000"]
    assert found["base"] == ["yes", "1", "1", "1", "1.0000"]


def test_compare_prints_json_and_writes_a_table(run: Run, tmp_path: Path) -> None:
    names = ("oci:images:one", "oci:images:two", "oci:images:strange")
    result = run("compare", *names, "--json", "--no-base", "--out", "comparisons.parquet")
    pairs = json.loads(result.stdout)
    assert [(pair["a"]["image"], pair["b"]["image"]) for pair in pairs] == [
        (names[0], names[1]),
        (names[0], names[2]),
        (names[1], names[2]),
    ]
    assert [level["level"] for level in pairs[0]["levels"]][-1] == "paths"
    assert pq.read_table(tmp_path / "comparisons.parquet").num_rows == 3 * 8


def test_compare_needs_two_images_that_can_be_read(run: Run) -> None:
    with pytest.raises(ConfigError, match="only one image"):
        run("compare", "oci:images:one", "oci:images:one")
    result = run("compare", "oci:images:one", "oci:images:hostile")
    assert result.exit_code == 1
    assert result.stderr.startswith("pullstudy: oci:images:hostile: ")
    assert result.stdout == ""
