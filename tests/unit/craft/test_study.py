import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pullstudy.craft.study import Size, StudyError, Surroundings, load_study
from tests.unit.craft.conftest import MakeStudy, WriteStudy

# The published sizes, in the format of the original tool.
ORIGINAL = """
# URI is the base
uri: ghcr.io/converged-computing/container-chonks-run1

sizes:
  - total: 53702097     # 25th
  - total: 58049507.8   # 30th
  - total: 218665412.8  # 60th
  - total: 19039736629  # 100th

layers:
  - exact: 9
  - exact: 125
"""
PERCENTILES = pa.table(
    {
        "percentile": [25.0, *(float(p) for p in range(30, 100, 5)), 96.25, 100.0],
        "size_bytes": [53_702_097.0, *(6e7 + p for p in range(30, 100, 5)), 1e9, 19_039_736_629.0],
    }
)
MINIMAL = "sizes: [{total: 5000000}]\nlayers: [{exact: 3}]\n"


STUDY_FILES = sorted((Path(__file__).parents[3] / "resources/craft").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_the_study_files_of_the_pipeline_can_be_read(path: Path, tmp_path: Path) -> None:
    pq.write_table(PERCENTILES, tmp_path / "percentiles")
    pq.write_table(pa.table({"size_bytes": [32, 5_000_000]}), tmp_path / "layers")
    tables = {
        "fig_size_percentiles.parquet": tmp_path / "percentiles",
        "fig_size_percentiles_as_published.parquet": tmp_path / "percentiles",
        "layers.parquet": tmp_path / "layers",
    }
    study = load_study(path, Surroundings(tables=tables))
    assert study.name == path.stem
    assert study.sizes[0].total_bytes >= 50_000_000


def test_a_study_of_the_original_is_read_unchanged(make_study: MakeStudy) -> None:
    study = make_study(ORIGINAL)
    assert study.uri == "ghcr.io/converged-computing/container-chonks-run1"
    totals = [size.total_bytes for size in study.sizes]
    # The published tags hold these numbers less 5,000,000: a fraction is dropped.
    assert totals == [53_702_097, 58_049_507, 218_665_412, 19_039_736_629]
    assert study.layer_counts == (9, 125)
    assert (study.content_name, study.compression_name) == ("random", "gzip")
    assert study.is_compressed


def test_ranges_of_layers_are_spread_out_and_kept_once(make_study: MakeStudy) -> None:
    study = make_study("sizes: [{total: 5}]\nlayers: [{min: 1, max: 4}, {exact: 25}, {exact: 3}]")
    assert study.layer_counts == (1, 2, 3, 4, 25)


def test_equal_totals_are_one_size(make_study: MakeStudy) -> None:
    study = make_study("sizes: [{total: 5.2, percentile: 25}, {total: 5.9}]\nlayers: [{exact: 1}]")
    assert study.sizes == (Size(5, 25.0),)


@pytest.mark.parametrize(
    ("uri", "cleaned"),
    [
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("127.0.0.1:5000/a/b:tag", "127.0.0.1:5000/a/b"),
        ("user/name:latest", "docker.io/user/name"),
    ],
)
def test_a_tag_in_the_uri_is_ignored_and_a_port_is_not(
    uri: str, cleaned: str, write_study: WriteStudy
) -> None:
    assert load_study(write_study(f"uri: {uri}\n{MINIMAL}")).uri == cleaned
    assert load_study(write_study(ORIGINAL), Surroundings(uri)).uri == cleaned


def test_every_extended_key_is_read(make_study: MakeStudy) -> None:
    study = make_study(
        MINIMAL
        + """
size_of: uncompressed
scale: 0.5
content: {ratio: 2.6}
compression: zstd
level: 19
files_per_layer: 20
copies: 10
shared_layers: 2
base: ubuntu:22.04
reads: 6.4%
platform: linux/arm64
seed: 7
"""
    )
    assert study.sizes == (Size(2_500_000),)
    assert not study.is_compressed
    assert (study.content_name, study.ratio) == ("ratio 2.6", 2.6)
    assert study.compression_name == "zstd level 19"
    assert (study.files_per_layer, study.copies, study.shared_layers) == (20, 10, 2)
    assert (study.base, study.architecture, study.seed) == ("ubuntu:22.04", "arm64", 7)
    assert study.reads_share == pytest.approx(0.064)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("layers: [{exact: 1}]", "sizes"),
        ("sizes: [{total: 5}]", "layers"),
        ("sizes: []\nlayers: [{exact: 1}]", "sizes"),
        ("sizes: [{total: -1}]\nlayers: [{exact: 1}]", "sizes.0.total"),
        ("sizes: [{total: 5}, {total: many}]\nlayers: [{exact: 1}]", "sizes.1.total"),
        ("sizes: [{total: 0.5}]\nlayers: [{exact: 1}]", "sizes.0.total"),
        ("sizes: [{total: .inf}]\nlayers: [{exact: 1}]", "sizes.0.total"),
        ("sizes: [{total: .nan}]\nlayers: [{exact: 1}]", "sizes.0.total"),
        ("sizes: [{size: 5}]\nlayers: [{exact: 1}]", "sizes.0.total"),
        ("sizes: [{total: 5}]\nlayers: [{exact: 0}]", "layers.0.exact"),
        ("sizes: [{total: 5}]\nlayers: [{exact: 1.5}]", "layers.0.exact"),
        ("sizes: [{total: 5}]\nlayers: [{min: 5}]", "layers.0.max"),
        ("sizes: [{total: 5}]\nlayers: [{min: 5, max: 3}]", "layers.0"),
        ("sizes: [{total: 5}]\nlayers: [{exact: 1, max: 3}]", "layers.0.max"),
        (MINIMAL + "contents: zeros", "contents"),
        (MINIMAL + "content: ones", "content"),
        (MINIMAL + "content: {ratio: 0.5}", "content.ratio"),
        (MINIMAL + "compression: bzip2", "compression"),
        (MINIMAL + "level: 10", "level"),
        (MINIMAL + "compression: estargz\nlevel: 3", "level"),
        (MINIMAL + "reads: 120%", "reads"),
        (MINIMAL + "reads: 1.2", "reads"),
        (MINIMAL + "reads: 5%\nentrypoint: false", "reads"),
        (MINIMAL + "platform: windows/amd64", "platform"),
        (MINIMAL + "uri: 'No Name'", "uri"),
        (MINIMAL + "distribution: gauss", "distribution"),
        (MINIMAL + "seed: -1", "seed"),
        ("sizes: {from: absent.csv}\nlayers: [{exact: 1}]", "sizes.from"),
        ("sizes: {steps_to_maximum: 3}\nlayers: [{exact: 1}]", "sizes.from"),
    ],
)
def test_errors_name_file_and_key(text: str, key: str, write_study: WriteStudy) -> None:
    path = write_study(text)
    with pytest.raises(StudyError) as caught:
        load_study(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert f"key '{key}'" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "5", "[1, 2]", "a: [", "\tx: 1"])
def test_what_is_no_study_is_refused_in_one_line(text: str, write_study: WriteStudy) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(write_study(text))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"absent\.yaml: no such file"):
        load_study(tmp_path / "absent.yaml")
    with pytest.raises(StudyError, match="Is a directory"):
        load_study(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(StudyError, match=r"binary\.yaml: "):
        load_study(tmp_path / "binary.yaml")


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_sizes_come_from_a_table_of_percentiles(
    name: str, tmp_path: Path, make_study: MakeStudy
) -> None:
    if name.endswith("csv"):
        pyarrow.csv.write_csv(PERCENTILES, tmp_path / name)
    else:
        pq.write_table(PERCENTILES, tmp_path / name)
    sizes = make_study(f"sizes: {{from: {name}}}\nlayers: [{{exact: 9}}]").sizes
    assert [size.percentile for size in sizes] == [
        *range(25, 100, 5), 96.25, 97.5, 98.75, 100,
    ]  # fmt: skip
    assert sizes[0].total_bytes == 53_702_097
    # From the 95th percentile to the largest in four equal steps, as the paper has it.
    steps = [b.total_bytes - a.total_bytes for a, b in itertools.pairwise(sizes[14:])]
    assert max(steps) - min(steps) <= 1
    assert sizes[-1].total_bytes == 19_039_736_629


def test_percentiles_can_be_chosen(tmp_path: Path, make_study: MakeStudy) -> None:
    pyarrow.csv.write_csv(PERCENTILES, tmp_path / "t.csv")
    study = make_study("sizes: {from: t.csv, percentiles: [25, 50]}\nlayers: [{exact: 9}]")
    assert [size.percentile for size in study.sizes] == [25, 50]
    with pytest.raises(StudyError, match="no row for percentile 51"):
        make_study("sizes: {from: t.csv, percentiles: [51]}\nlayers: [{exact: 9}]")
    with pytest.raises(StudyError, match=r"t\.csv: no table with size_bytes"):
        (tmp_path / "t.csv").write_text("a,b\n1,2\n")
        make_study(MINIMAL + "distribution: {from: t.csv}")


def test_layer_sizes_come_from_a_table(tmp_path: Path, make_study: MakeStudy) -> None:
    pq.write_table(
        pa.table({"size_bytes": [32, 100, 5000], "x": [1, 2, 3]}), tmp_path / "l.parquet"
    )
    study = make_study(MINIMAL + "distribution: {from: l.parquet}")
    assert study.layer_sizes_bytes == (32, 100, 5000)
    pq.write_table(pa.table({"size_bytes": pa.array([], pa.int64())}), tmp_path / "l.parquet")
    with pytest.raises(StudyError, match=r"distribution\.from.*l\.parquet: the table has no rows"):
        make_study(MINIMAL + "distribution: {from: l.parquet}")
