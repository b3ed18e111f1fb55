"""From a list of repositories over the record of their crawl to the tables."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from pullstudy.corpus.crawl import CrawlSettings
from pullstudy.corpus.listing import Failure, Listing, Repository
from pullstudy.corpus.parts import path_of_part
from pullstudy.corpus.record import Record, crawl_listing, read_record
from pullstudy.corpus.tabulate import tabulate_crawl
from pullstudy.errors import CorpusError
from tests.unit.corpus.conftest import LINK, Files, GitServer, make_repository, run_git


def crawl(listing: Listing, folder: Path, count: int | None = None) -> tuple[Record, str]:
    screen = io.StringIO()
    settings = CrawlSettings(max_repositories=count, seed=1, retry_seconds=())
    paths = (folder / "parts", folder / "crawl.json")
    record = crawl_listing(listing, *paths, settings, Console(file=screen))
    return record, screen.getvalue()


def tabulate(folder: Path) -> dict[str, pd.DataFrame]:
    tabulate_crawl(folder / "crawl.json", folder / "parts", folder / "tables")
    return {path.stem: pd.read_parquet(path) for path in (folder / "tables").iterdir()}


@pytest.fixture
def listing(tmp_path: Path, git_server: GitServer) -> Listing:
    files: Files = {
        b"b/Dockerfile": b"FROM ubuntu:22.04 AS x\nFROM x\n",
        b"Dockerfile": b"FROM a\xff\n",
        b"\xff\n/Dockerfile": b"# nothing\n",
        b"l/Dockerfile": (LINK, b"../Dockerfile"),
    }
    full = make_repository(tmp_path / "git/o/full", files)
    bare = make_repository(tmp_path / "git/o/bare", {b"README": b""})
    (tmp_path / "git/o/empty").mkdir()
    run_git(tmp_path / "git/o/empty", "init", "-q", "--bare")
    git_server.answers = {"law": (451, 0), "busy": (503, 0)}
    urls = [str(full), str(bare), f"file://{tmp_path}/git/o/empty", git_server.url("law")]
    urls.append(git_server.url("busy"))
    repositories = [Repository("orgs", f"o/r{i}", url) for i, url in enumerate(urls)]
    return Listing(repositories, [Failure("nobody", "gone", status=404, detail="d")])


def test_tables(tmp_path: Path, listing: Listing) -> None:
    crawl(listing, tmp_path)
    tables = tabulate(tmp_path)
    dockerfiles = tables["dockerfiles"]
    assert dockerfiles["path"].tolist() == ["Dockerfile", "b/Dockerfile", "\ufffd\n/Dockerfile"]
    assert set(dockerfiles["repository"]) == {"o/r0"}
    assert set(dockerfiles["collection"]) == {"orgs"}
    assert dockerfiles["size_bytes"].tolist() == [8, 30, 10]
    assert dockerfiles["is_utf8"].tolist() == [False, True, True]
    assert tables["stages"]["dockerfile_id"].tolist() == [0, 1, 1]
    urls = [repository.url for repository in listing.repositories]
    failures = tables["failures"].drop(columns=["detail"]).astype(object)
    assert failures.where(failures.notna(), None).to_numpy().tolist() == [
        ["corpus", "nobody", None, 404, "gone"],
        ["corpus", urls[0], "l/Dockerfile", None, "symlink"],
        ["corpus", urls[2], None, None, "empty"],
        ["corpus", urls[3], None, 451, "blocked"],
        ["corpus", urls[4], None, 503, "rate_limited"],
        ["corpus", "orgs/o/r0/\ufffd\n/Dockerfile", None, None, "no_instruction"],
    ]
    (coverage,) = tables["coverage"].to_dict("records")
    assert (coverage["part"], coverage["expected"], coverage["present"]) == ("corpus", 5, 3)
    assert coverage["detail"] == (
        "5 of 5 listed repositories were crawled; "
        "failed: 1 blocked, 1 empty, 1 rate_limited; not listed: 1 gone"
    )


def test_the_record_says_which_state_was_read(tmp_path: Path, listing: Listing) -> None:
    record, screen = crawl(listing, tmp_path)
    assert read_record(tmp_path / "crawl.json") == record
    commit = run_git(tmp_path / "git/o/full", "rev-parse", "main").decode().strip()
    first = record.crawled[0]
    assert (first.commit, first.dockerfiles, first.reason) == (commit, 3, None)
    assert (tmp_path / "parts" / first.part).is_file()
    assert [crawled.is_complete for crawled in record.crawled] == [True, True, True, False, False]
    assert "crawl: 3 Dockerfiles in 5 repositories" in screen
    assert "crawl: failed: 1 blocked, 1 empty, 1 rate_limited" in screen
    assert "crawl: 1 of them for a passing cause: crawl again to have them" in screen


def test_a_sample_of_the_list(tmp_path: Path, listing: Listing) -> None:
    record, _ = crawl(listing, tmp_path, count=2)
    assert (record.listed, len(record.crawled)) == (5, 2)
    assert len(list((tmp_path / "parts").glob("*.msgpack"))) == 2
    (coverage,) = tabulate(tmp_path)["coverage"].to_dict("records")
    assert coverage["expected"] == 5
    assert coverage["present"] <= 2
    assert coverage["detail"].startswith("2 of 5 listed repositories were crawled")


def test_without_repositories_the_tables_are_empty(tmp_path: Path) -> None:
    crawl(Listing([]), tmp_path)
    tables = tabulate(tmp_path)
    assert len(tables) == 5
    assert len(tables["dockerfiles"]) == 0


def test_a_missing_part_or_record_is_named(tmp_path: Path, listing: Listing) -> None:
    crawl(listing, tmp_path)
    path = path_of_part(tmp_path / "parts", listing.repositories[1].url)
    path.write_bytes(b"half")
    with pytest.raises(CorpusError, match=f"{path.name}: no part of a crawl"):
        tabulate(tmp_path)
    assert not (tmp_path / "tables/dockerfiles.parquet").exists()
    with pytest.raises(CorpusError, match="no record of a crawl"):
        tabulate_crawl(tmp_path / "none.json", tmp_path / "parts", tmp_path / "tables")
