"""The paper: numbers in print, what is gathered, and a PDF that is always the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pullstudy.paper.content import Results, gather_content, read_header, render_caption
from pullstudy.paper.numbers import say_cell, say_number
from pullstudy.paper.typeset import PaperError, typeset
from tests.conftest import ROOT, skip_or_fail

TEMPLATE = ROOT / "resources/paper/paper.typ"
RUN = {
    "python": "3.11",
    "packages": [["duckdb", "1"]],
    "inputs": [["a", "b"]],
    "archive": {"source": "x", "sha256": None},
}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (77449, "Dockerfiles", "77,449 Dockerfiles"),
        (0.40265, "share", "0.4027"),
        (2.56, "percent", "2.56 %"),
        (9595.3, "dollars", "$9,595.30"),
        (301, "dollars", "$301"),
        (473568.5, "", "473,568.5"),
        (132399102.4, "", "132,399,102"),
        (16.58, "layers", "16.58 layers"),
        (1.26e-5, "", "1.3e-05"),
        (0.0, "", "0"),
        (-3.5, "", "\N{MINUS SIGN}3.5"),
        (None, "layers", "\N{EN DASH}"),
        (float("nan"), "layers", "\N{EN DASH}"),
    ],
)
def test_numbers(value: float | None, unit: str, text: str) -> None:
    assert say_number(value, unit) == text


def test_cells() -> None:
    assert [say_cell(v) for v in (True, None, "x", [1, 2], 0.5)] == [
        "yes", "\N{EN DASH}", "x", "1, 2", "0.5",
    ]  # fmt: skip


def test_every_query_has_a_header_to_print() -> None:
    for sql in (ROOT / "workflow/sql").glob("tab_*.sql"):
        header = dict(read_header(sql))
        assert header["Question"].endswith("?"), sql.name
        assert len(header["Definition"]) > 10, sql.name


def test_captions_are_filled_in() -> None:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for caption in (ROOT / "workflow/report").glob("fig_*.rst"):
        pieces = render_caption(caption, config)
        text = "".join(piece["text"] for piece in pieces)
        assert "{{" not in text
        assert "``" not in text
        assert "Study: sample" in text


def test_no_number_of_the_paper_is_typed_into_the_template() -> None:
    text = TEMPLATE.read_text()
    claims = yaml.safe_load((ROOT / "resources/claims.yaml").read_text())
    for claim in claims:
        printed = say_number(claim["published"])
        if len(re.sub(r"\D", "", printed)) >= 3:
            assert not re.search(rf"(?<![\d.,]){re.escape(printed)}(?![\d])", text), claim["id"]


def test_the_template_names_claims_and_tables_that_exist() -> None:
    text = TEMPLATE.read_text()
    claims = {claim["id"] for claim in yaml.safe_load((ROOT / "resources/claims.yaml").read_text())}
    named = re.findall(r'#(?:found|corrected|published|times|measured)\("(\w+)"', text)
    assert len(named) > 60
    assert set(named) <= claims
    tables = {sql.stem for sql in (ROOT / "workflow/sql").glob("tab_*.sql")}
    assert set(re.findall(r'(?:show-table|cell)\("(\w+)"', text)) <= tables


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Results of a run in the current folder: one figure, one table, two claims."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims.csv").write_text(
        "id,statement,published,reproduced,corrected,measured,measured_low,measured_high,unit,"
        "verdict,measured_verdict,note\n"
        "dockerfiles,Some #[] $ * _ Dockerfiles,77449,77449,,,,,Dockerfiles,reproduced,,\n"
        "images,Images,5,,,4,3,4.5,images,partial,differs,half of it is gone; and more\n"
    )
    coverage = {
        "part": ["corpus"],
        "expected": [2],
        "present": [1],
        "detail": ["half of it is gone"],
    }
    pq.write_table(pa.table(coverage), tmp_path / "coverage.parquet")
    columns = {"name": ["#a_b", "x" * 99], "share": [0.25, None], "n": [1, 2]}
    pq.write_table(pa.table(columns), tmp_path / "tab_x.parquet")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/tab_x.sql").write_text(
        "-- Question:   What\n--             is it?\n-- Grain:      one.\n"
        "-- Definition: as said.\nSELECT 1\n"
    )
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions/fig_x.rst").write_text(
        "See ``tab_x`` *of* {{ snakemake.config['study'] }}."
    )
    shutil.copy(TEMPLATE, tmp_path / "paper.typ")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.savefig("fig_x.pdf", metadata={"CreationDate": None})
    return Results(
        Path("claims.csv"), Path("coverage.parquet"), {"fig_x": "fig_x.pdf"},
        {"tab_x": "tab_x.parquet"}, {"fig_x": "Landscape"}, "sql", "captions",
    )  # fmt: skip


def gather(results: Results) -> dict[str, Any]:
    return gather_content(results, {"study": "sample", "seed": 1}, RUN)


def test_what_is_gathered(results: Results) -> None:
    content = gather(results)
    assert content["verdicts"] == {"partial": 1, "reproduced": 1}
    assert content["claims"][1]["note"] == "data are missing (Table 1); and more"
    assert content["claims"][0]["reproduced_text"] == "77,449 Dockerfiles"
    table = content["tables"]["tab_x"]
    assert (table["question"], table["definition"]) == ("What is it?", "as said.")
    assert table["rows"][0] == ["#a_b", "0.25", "1"]
    assert table["rows"][1][0].endswith("x…")
    assert content["figures"][0]["command"] == "scripts/run fig_x"
    json.dumps(content)


def test_the_same_content_gives_the_same_bytes(results: Results, tmp_path: Path) -> None:
    content = gather(results)
    for name in ("one.pdf", "two.pdf"):
        typeset(Path("paper.typ"), content, tmp_path / name)
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    if shutil.which("pdftotext") is None:
        skip_or_fail("pdftotext is missing: apt-get install poppler-utils")
    command = ["pdftotext", "one.pdf", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "77,449 Dockerfiles" in text
    # Marks in data are text, not markup.
    assert "Some #[] $ * _ Dockerfiles" in " ".join(text.split())
    assert "half of it is gone" in text


def test_a_broken_template_is_named(results: Results, tmp_path: Path) -> None:
    (tmp_path / "paper.typ").write_text("#nothing")
    with pytest.raises(PaperError, match=r"paper\.typ: unknown variable: nothing"):
        typeset(Path("paper.typ"), gather(results), tmp_path / "out.pdf")
    assert not list(tmp_path.glob("*out.pdf"))
