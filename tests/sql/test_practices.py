"""Practice queries over small Dockerfiles whose verdicts are known by hand."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles

SQL = Path(__file__).parents[2] / "workflow" / "sql"
APT = (
    "apt-get update && apt-get install -y --no-install-recommends x && rm -rf /var/lib/apt/lists/*"
)

# practice: occasions, cases, is_violated
Verdict = tuple[int, int, bool]


def open_database(files: list[SourceFile], folder: Path) -> duckdb.DuckDBPyConnection:
    tabulate_dockerfiles(files, folder)
    connection = duckdb.connect()
    for name in ("dockerfiles", "instructions", "stages"):
        connection.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.parquet'")
    query = (SQL / "practice_verdicts.sql").read_text()
    connection.execute(f"CREATE TABLE practice_verdicts AS {query}")
    return connection


def fetch(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict]:
    relation = connection.sql((SQL / f"{query}.sql").read_text())
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


CASES: list[tuple[str, str, Verdict | None]] = [
    ("multi_stage", "FROM a", (1, 0, True)),
    ("multi_stage", "FROM a\nFROM b", (1, 1, False)),
    ("multi_stage", "FROM a\nRUN echo FROM\n# FROM b", (1, 0, True)),
    ("official_base", "FROM ubuntu\nFROM docker.io/library/x:1\nFROM a/b", (3, 2, True)),
    ("official_base", "FROM quay.io/library/ubuntu", (1, 0, True)),
    ("latest_tag", "FROM a:latest AS b\nFROM b", (1, 1, True)),
    ("latest_tag", "ARG T=latest\nFROM a:$T", (1, 1, True)),
    ("latest_tag", "FROM a", (1, 0, False)),
    ("no_tag", "FROM a\nFROM b:1\nFROM c@sha256:" + "0" * 64, (3, 1, True)),
    ("no_tag", "FROM a:1 AS b\nFROM b", (1, 0, False)),
    ("digest_pinned", "FROM a:1@sha256:" + "0" * 64, (1, 1, False)),
    ("maintainer", "FROM a\nMAINTAINER me", (1, 1, True)),
    ("maintainer", "FROM a\nLABEL maintainer=me", (1, 0, False)),
    ("healthcheck", "FROM a\nHEALTHCHECK CMD x\nFROM b", (1, 0, True)),
    ("healthcheck", "FROM a\nHEALTHCHECK NONE", (1, 0, True)),
    ("healthcheck", "FROM a\nHEALTHCHECK --timeout=1s CMD x", (1, 1, False)),
    ("no_user", "FROM a\nUSER me\nFROM b", (1, 1, True)),
    ("no_user", "FROM a\nUSER me", (1, 0, False)),
    ("root_user", "FROM a\nUSER me\nUSER root", (1, 1, True)),
    ("root_user", "FROM a\nUSER 0:0", (1, 1, True)),
    ("root_user", "FROM a\nUSER root\nUSER rooty", (1, 0, False)),
    ("several_cmd", "FROM a\nCMD x\nCMD y", (1, 1, True)),
    ("several_cmd", "FROM a\nCMD x\nFROM b\nCMD y", (1, 0, False)),
    ("several_entrypoint", 'FROM a\nENTRYPOINT ["x"]\nENTRYPOINT ["x"]', (1, 1, True)),
    ("shell_form", 'FROM a\nENTRYPOINT ["x"]\nCMD y z', (2, 1, True)),
    ("shell_form", "FROM a\nHEALTHCHECK CMD x\nCMD []", (1, 0, False)),
    ("relative_workdir", "FROM a\nWORKDIR x\nWORKDIR /y\nWORKDIR $Z", (3, 1, True)),
    ("relative_workdir", 'FROM a\nWORKDIR "/y"\nWORKDIR C:\\\\z', (2, 0, False)),
    ("add_instead_of_copy", "FROM a\nADD x /y", (1, 1, True)),
    ("add_instead_of_copy", "FROM a\nADD x.tar.gz http://h/y $Z /y/", (1, 0, False)),
    ("add_instead_of_copy", 'FROM a\nADD --chown=me ["x", "y"]', (1, 1, True)),
    ("sudo", "FROM a\nRUN sudo -E x\nRUN echo sudo", (2, 1, True)),
    ("cd_in_run", "FROM a\nRUN cd /x && y\nRUN echo 'cd x' && abcd y", (2, 1, True)),
    ("cd_in_run", "FROM a\nRUN if true; then cd /x; fi", (1, 1, True)),
    ("apt_update_with_install", f"FROM a\nRUN {APT}", (1, 1, False)),
    (
        "apt_update_with_install",
        "FROM a\nRUN apt-get update\nRUN apt-get -qq install x",
        (1, 0, True),
    ),
    ("apt_update_with_install", 'FROM a\nRUN echo "apt-get install x"', None),
    ("apt_update_with_install", "FROM a\nRUN x # && apt-get install x", None),
    (
        "apt_update_with_install",
        'FROM a\nRUN ["sh", "-c", "apt-get update && apt-get install x"]',
        (1, 1, False),
    ),
    (
        "apt_update_with_install",
        "FROM a\nRUN <<EOF\napt-get update\napt-get install x\nEOF",
        (1, 1, False),
    ),
    ("apt_update_alone", "FROM a\nRUN apt-get update\nRUN apt-get install x", (1, 1, True)),
    ("apt_clean", f"FROM a\nRUN {APT}", (1, 1, False)),
    ("apt_clean", "FROM a\nRUN apt-get update; rm -rf /tmp/*", (1, 0, True)),
    ("apt_clean", "FROM a\nRUN apt-get update\nRUN rm -r /var/lib/apt/lists", (1, 0, True)),
    (
        "apt_clean",
        "FROM a\nRUN --mount=type=cache,target=/var/lib/apt apt-get update",
        (1, 1, False),
    ),
    ("apt_no_install_recommends", f"FROM a\nRUN {APT}", (1, 1, False)),
    ("apt_no_install_recommends", f"FROM a\nRUN {APT} && apt install y", (1, 0, True)),
    (
        "apt_no_install_recommends",
        "FROM a\nRUN apt-get install -o APT::Install-Recommends=false x",
        (1, 1, False),
    ),
    ("apt_upgrade", "FROM a\nRUN apt-get update && apt-get -y dist-upgrade", (1, 1, True)),
    ("apk_no_cache", "FROM a\nRUN apk add --no-cache x\nRUN apk add y", (2, 1, True)),
    ("apk_no_cache", "FROM a\nRUN apk add x && rm -rf /var/cache/apk/*", (1, 1, False)),
    ("pip_no_cache_dir", "FROM a\nRUN pip3 install x", (1, 0, True)),
    ("pip_no_cache_dir", "FROM a\nRUN python -m pip install --no-cache-dir x", (1, 1, False)),
    ("pip_no_cache_dir", "FROM a\nENV PIP_NO_CACHE_DIR=1\nRUN pip install x", (1, 1, False)),
    ("download_piped_to_shell", "FROM a\nRUN curl -s h | sudo -E bash -", (1, 1, True)),
    ("download_piped_to_shell", "FROM a\nRUN wget h && sh x", (1, 0, False)),
    ("pipe_without_pipefail", "FROM a\nRUN x | y\nRUN x || y", (1, 1, True)),
    ("pipe_without_pipefail", "FROM a\nRUN set -eo pipefail && x | y", (1, 0, False)),
    (
        "pipe_without_pipefail",
        'FROM a\nSHELL ["bash", "-o", "pipefail", "-c"]\nRUN x | y',
        (1, 0, False),
    ),
    (
        "pipe_without_pipefail",
        'FROM a\nSHELL ["bash", "-o", "pipefail", "-c"]\nFROM b\nRUN x | y',
        (1, 1, True),
    ),
    ("pipe_without_pipefail", 'FROM a\nRUN x "$(y | z)"', (1, 1, True)),
    ("pipe_without_pipefail", "FROM a\nRUN case x in a|b) y;; esac; grep 'a|b'", None),
    ("pipe_without_pipefail", 'FROM a\nSHELL ["powershell"]\nRUN x | y', None),
    ("sudo", "FROM a\nONBUILD RUN sudo x", None),
]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Verdict]]:
    """Return the verdicts on the Dockerfile of each case, by practice."""
    files = [SourceFile("rseng", "o/r", "Dockerfile", f"{text}\n".encode()) for _, text, _ in CASES]
    connection = open_database(files, tmp_path_factory.mktemp("cases"))
    judged: list[dict[str, Verdict]] = [{} for _ in CASES]
    for number, practice, *verdict in connection.execute("FROM practice_verdicts").fetchall():
        occasions, cases, is_violated = verdict
        judged[number][practice] = (occasions, cases, is_violated)
    return judged


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number][0])
def test_verdicts(verdicts: list[dict[str, Verdict]], number: int) -> None:
    practice, _, expected = CASES[number]
    assert verdicts[number].get(practice) == expected


def test_a_file_that_cannot_be_parsed_only_counts_as_a_file(tmp_path: Path) -> None:
    file = SourceFile("rseng", "o/r", "Dockerfile", b"# nothing\n")
    rows = open_database([file], tmp_path).execute("FROM practice_verdicts").fetchall()
    assert rows == [(0, "multi_stage", 1, 0, True)]


FILES = [
    SourceFile("rseng", "big/one", "1/Dockerfile", b"FROM a:latest\nRUN cd x\n"),
    SourceFile("rseng", "big/one", "2/Dockerfile", b"FROM a:latest\nRUN cd x\nRUN cd y\n"),
    SourceFile("orgs", "o/r", "Dockerfile", b"FROM b/c:1 AS d\n  FROM d\nRUN y\n"),
    SourceFile("orgs", "o/s", "Dockerfile", b"from e\n"),
    SourceFile("orgs", "o/t", "Dockerfile", b"FROM f@sha256:" + b"0" * 64 + b"\n# FROM\n"),
]


def test_shares_by_collection(tmp_path: Path) -> None:
    rows = fetch(open_database(FILES, tmp_path), "tab_practices")
    shares = {
        (row["collection"], row["practice"]): (row["numerator"], row["denominator"], row["percent"])
        for row in rows
    }
    assert shares["rseng", "latest_tag"] == (2, 2, 100.0)
    assert shares["orgs", "latest_tag"] == (0, 3, 0.0)
    assert shares["all", "latest_tag"] == (2, 5, 40.0)
    assert shares["all but the largest repository", "latest_tag"] == (0, 3, 0.0)
    assert shares["all", "cd_in_run"] == (3, 4, 75.0)
    assert shares["all", "multi_stage"] == (1, 5, 20.0)
    assert all(row["definition"] for row in rows)


def test_every_practice_has_a_definition_and_sane_counts(tmp_path: Path) -> None:
    file = f"""FROM a:1
RUN {APT}
RUN apk add x; pip install y; curl z | sh; sudo cd /
WORKDIR /x
ADD x y
CMD ["x"]
ENTRYPOINT ["x"]
"""
    sources = [*FILES, SourceFile("orgs", "o/u", "Dockerfile", file.encode())]
    connection = open_database(sources, tmp_path)
    judged = connection.execute("SELECT DISTINCT practice FROM practice_verdicts").fetchall()
    defined = {row["practice"] for row in fetch(connection, "tab_practices")}
    assert {practice for (practice,) in judged} == defined
    assert len(defined) == 25
    bad = "FROM practice_verdicts WHERE cases NOT BETWEEN 0 AND occasions OR occasions = 0"
    assert connection.execute(bad).fetchall() == []


def test_as_published_reads_lines(tmp_path: Path) -> None:
    rows = fetch(open_database(FILES, tmp_path), "tab_practices_as_published")
    counts = {(r["collection"], r["practice"]): (r["numerator"], r["denominator"]) for r in rows}
    # The indented FROM and the one in the comment are lines with FROM, "from e" is none.
    assert counts["all", "multi_stage"] == (2, 5)
    assert counts["all", "official_base"] == (3, 5)
    assert counts["all", "latest_tag"] == (2, 5)
    assert counts["all", "digest_pinned"] == (1, 5)
    assert counts["rseng", "latest_tag"] == (2, 2)


HISTORY = [
    # image, command, makes no layer
    (0, "/bin/sh -c apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*", False),
    (1, "/bin/sh -c apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*", False),
    (
        1,
        "RUN |1 A=b c /bin/bash -o pipefail -c apt-get install y && apt-get clean # buildkit",
        False,
    ),
    (1, "RUN /bin/sh -c apt-get update && apt-get autoremove", False),
    (1, "/bin/sh -c #(nop) LABEL apt-get install=1", True),
    (1, "/bin/sh -c #(nop) ADD file:apt-get install", False),
    (1, "COPY target/captain /platform", False),
    (1, None, False),
]


@pytest.fixture
def history() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE history (image_id BIGINT, created_by VARCHAR, is_empty_layer BOOLEAN)"
    )
    connection.executemany("INSERT INTO history VALUES (?, ?, ?)", HISTORY)
    return connection


def test_apt_in_the_history(history: duckdb.DuckDBPyConnection) -> None:
    rows = {
        row["practice"]: (row["numerator"], row["denominator"])
        for row in fetch(history, "tab_apt_history")
    }
    assert rows == {
        "apt_update_with_install": (1, 2),
        "apt_clean": (1, 2),
        "apt_clean_archives": (1, 2),
        "apt_no_install_recommends": (0, 2),
    }


def test_apt_in_the_history_as_published(history: duckdb.DuckDBPyConnection) -> None:
    rows = {
        row["practice"]: (row["numerator"], row["denominator"])
        for row in fetch(history, "tab_apt_history_as_published")
    }
    assert rows == {
        # Seven lines have a command, all seven hold apt and get somewhere.
        "apt_get": (7, 7),
        "apt_get_with_install": (5, 7),
        # rm of "platform" counts; the line with autoremove but no rm does not.
        "apt_clean": (4, 7),
        "apt_clean_and_autoremove": (0, 7),
        "apt_autoremove": (1, 7),
    }


@pytest.mark.parametrize("query", ["tab_apt_history", "tab_apt_history_as_published"])
def test_without_history_there_is_no_row(query: str) -> None:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE history (image_id BIGINT, created_by VARCHAR, is_empty_layer BOOLEAN)"
    )
    assert fetch(connection, query) == []


def test_names_that_are_no_references_come_last(tmp_path: Path) -> None:
    """They are kept, so that the harvest refuses each with its reason."""
    text = "FROM <?php\nFROM <?php\nFROM quay.io/library/x\nFROM ubuntu AS b\nFROM b\nFROM scratch"
    file = SourceFile("c", "o/r", "Dockerfile", f"{text}\nFROM $OPEN\nFROM ubuntu:1".encode())
    rows = fetch(open_database([file], tmp_path), "base_image_names")
    assert [(row["name"], row["stages"]) for row in rows] == [
        ("ubuntu", 2),
        ("quay.io/library/x", 1),
        ("<?php", 2),
    ]
