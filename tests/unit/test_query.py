from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pullstudy.errors import QueryError
from pullstudy.query import export_csv, list_views, read_value, run_query


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    path = tmp_path / "layers.parquet"
    pq.write_table(pa.table({"digest": ["a", "b", "a"], "size_bytes": [1, 2, 1]}), path)
    return path


def write_sql(folder: Path, text: str) -> Path:
    path = folder / "question.sql"
    path.write_text(text)
    return path


def test_views_are_the_tables_that_are_no_ctes(tmp_path: Path) -> None:
    sql = write_sql(
        tmp_path,
        "WITH big AS (SELECT * FROM layers WHERE size_bytes > (SELECT avg(size_bytes) FROM images))"
        " SELECT * FROM big JOIN tags USING (x) WHERE y IN (SELECT y FROM history)",
    )
    assert list_views(sql) == ["history", "images", "layers", "tags"]


@pytest.mark.parametrize("text", ["SELEC 1", "SELECT 1; SELECT 2", "DROP TABLE layers"])
def test_what_is_not_one_select_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(QueryError, match=r"question\.sql"):
        list_views(write_sql(tmp_path, text))


def test_rows_of_several_files_are_read_as_one_view(tmp_path: Path, layers: Path) -> None:
    sql = write_sql(tmp_path, "-- Question\nSELECT sum(size_bytes) AS total FROM layers;\n")
    run_query(sql, {"layers": [layers, layers]}, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [{"total": 8}]


def test_a_failing_query_names_the_file_and_leaves_nothing(tmp_path: Path, layers: Path) -> None:
    sql = write_sql(tmp_path, "SELECT no_such_column FROM layers")
    with pytest.raises(QueryError, match=r"question\.sql.*no_such_column"):
        run_query(sql, {"layers": [layers]}, tmp_path / "out.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["layers.parquet", "question.sql"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path, layers: Path) -> None:
    sql = write_sql(
        tmp_path, "SELECT digest, avg(size_bytes) AS m FROM layers GROUP BY 1 ORDER BY 1"
    )
    outputs = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for output in outputs:
        run_query(sql, {"layers": [layers]}, output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_a_value_is_read_from_exactly_one_row(layers: Path) -> None:
    assert read_value(layers, "size_bytes", "digest = 'b'") == 2
    assert read_value(layers, "coalesce(sum(size_bytes), 0)", "digest = 'z'") == 0
    assert read_value(layers, "size_bytes", "digest = 'z'") is None
    with pytest.raises(QueryError, match="fits 2 rows"):
        read_value(layers, "size_bytes", "digest = 'a'")


def test_csv_quotes_what_needs_it(tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"name": ['a "b", c', None], "n": [1, 2]}), rows)
    export_csv(rows, tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == 'name,n\n"a ""b"", c",1\n,2\n'
