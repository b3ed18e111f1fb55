import os
from pathlib import Path

import pytest

from pullstudy.errors import ReportError
from pullstudy.paper.report import describe_results, write_report

SNAKEFILE = """
rule numbers:
    output: report("numbers.csv", labels={"of": "a study"})
    shell: "echo a,b >{output}"
"""


def test_results_of_this_run_are_named_and_verdicts_counted(tmp_path: Path) -> None:
    for name in ("paper.pdf", "report.html"):
        (tmp_path / name).touch()
    verdicts = ["reproduced", "differs", "reproduced"]
    (tmp_path / "claims.csv").write_text("\n".join(["id,verdict", *(f"a,{v}" for v in verdicts)]))
    os.utime(tmp_path / "paper.pdf", (1, 1))
    said = list(describe_results(tmp_path, since=2))
    assert said == [
        f"pullstudy: {tmp_path}/report.html  all figures and tables on one page",
        f"pullstudy: {tmp_path}/claims.csv  what the paper states: "
        "3 numbers, 2 reproduced, 1 differs",
    ]


def test_the_page_holds_what_was_made_or_the_error_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").write_text(SNAKEFILE)
    page = Path("results/report.html")
    with pytest.raises(ReportError, match=r"results/report\.html: snakemake --report failed: "):
        write_report("numbers.csv", Path("Snakefile"), {}, page)
    assert not page.exists()
    Path("numbers.csv").write_text("a,b")
    write_report("numbers.csv", Path("Snakefile"), {"key": 1}, page)
    assert "numbers.csv" in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
