"""The corpus of the published archive gives the numbers that were published or measured before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import pytest

from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles

SQL = Path(__file__).parents[2] / "workflow" / "sql"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database(
    published_dockerfiles: list[SourceFile], tmp_path_factory: pytest.TempPathFactory
) -> duckdb.DuckDBPyConnection:
    folder = tmp_path_factory.mktemp("corpus")
    tabulate_dockerfiles(published_dockerfiles, folder)
    connection = duckdb.connect()
    for name in ("dockerfiles", "instructions", "stages"):
        connection.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.parquet'")
    verdicts = (SQL / "practice_verdicts.sql").read_text()
    connection.execute(f"CREATE TABLE practice_verdicts AS {verdicts}")
    return connection


def read_percents(database: duckdb.DuckDBPyConnection, query: str) -> dict[str, float]:
    text = (SQL / f"{query}.sql").read_text()
    rows = database.execute(f"SELECT practice, percent FROM ({text}) WHERE collection = 'all'")
    return dict(rows.fetchall())


def test_files_by_collection(database: duckdb.DuckDBPyConnection) -> None:
    rows = database.execute("SELECT collection, count(*) FROM dockerfiles GROUP BY ALL").fetchall()
    assert Counter(dict(rows)) == {"machine-learning": 71_724, "orgs": 4_144, "rseng": 1_581}


def test_research_software_repositories(database: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT count(DISTINCT repository) FROM dockerfiles WHERE collection = 'rseng'"
    assert database.execute(query).fetchall() == [(694,)]


def test_failures(database: duckdb.DuckDBPyConnection) -> None:
    rows = database.execute(
        "SELECT parse_failure, count(*) FROM dockerfiles WHERE parse_failure IS NOT NULL GROUP BY 1"
    ).fetchall()
    assert dict(rows) == {"no_instruction": 19, "unterminated_heredoc": 2, "syntax": 2}


def test_stages(database: duckdb.DuckDBPyConnection) -> None:
    assert database.execute("SELECT count(*) FROM stages").fetchall() == [(80_042,)]


def test_practices_as_published(database: duckdb.DuckDBPyConnection) -> None:
    percents = read_percents(database, "tab_practices_as_published")
    assert round(percents["multi_stage"], 2) == 2.56
    # How the paper counted these is not documented: the closest reading, and how close it is.
    assert percents["official_base"] == pytest.approx(14.77, abs=0.01)
    assert percents["latest_tag"] == pytest.approx(5.3, abs=0.05)
    assert percents["digest_pinned"] == pytest.approx(0.09, abs=0.005)


def test_multi_stage_with_the_parser(database: duckdb.DuckDBPyConnection) -> None:
    assert round(read_percents(database, "tab_practices")["multi_stage"], 4) == 2.2763
