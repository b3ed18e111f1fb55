"""All figures and tables of a run on one page, which works without a network.

Snakemake makes it, from what it has written down of each job; another Snakemake beside the one that
runs, because the page is a result like any other.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pullstudy.errors import ReportError
from pullstudy.files import make_scratch

_RESULTS = {
    "paper.pdf": "the paper",
    "report.html": "all figures and tables on one page",
    "claims.csv": "what the paper states",
}


def write_report(target: str, snakefile: Path, overrides: Mapping[str, Any], output: Path) -> None:
    """Write the page of everything that the file `target` was made from, atomically.

    overrides: what the command line put over the study's own config. Raises ReportError.
    """
    with make_scratch(output.with_name(".report")) as scratch:
        # Snakemake chooses the form by the ending.
        page, config = scratch / output.name, scratch / "config.json"
        config.write_text(json.dumps(overrides))
        command = [
            sys.executable, "-m", "snakemake", "--cores", "1", "--nolock",
            "--snakefile", str(snakefile), "--configfile", str(config),
            "--report", str(page), "--", target,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not page.exists():
            last = (done.stderr.strip() or "no word").splitlines()[-1]
            raise ReportError(f"{output}: snakemake --report failed: {last.strip()}")
        page.replace(output)


def describe_results(results: Path, since: float) -> Iterator[str]:
    """Yield a line for each result of a study that was made after `since` (Unix seconds)."""
    for name, what in _RESULTS.items():
        path = results / name
        if path.exists() and path.stat().st_mtime >= since:
            counts = f": {_count_verdicts(path)}" if path.suffix == ".csv" else ""
            yield f"pullstudy: {path}  {what}{counts}"


def _count_verdicts(claims: Path) -> str:
    with claims.open(newline="") as file:
        verdicts = Counter(row["verdict"] for row in csv.DictReader(file))
    counts = (f"{count} {verdict}" for verdict, count in verdicts.most_common())
    return f"{verdicts.total()} numbers, {', '.join(counts)}"
