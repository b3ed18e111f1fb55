"""Which best practices an image breaks, by the rules that the study applies to Dockerfiles.

The history of an image is read as the Dockerfile that it was built from, and its reference as the
FROM of whoever uses it; `workflow/sql/practice_verdicts.sql` then judges as it does for the corpus.
Rules that need what the history does not keep (stages, flags, overridden CMDs) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pullstudy.inspection.documents import ImageConfig, RunSettings
from pullstudy.inspection.layers import clean_command
from pullstudy.inspection.reading import ReadImage
from pullstudy.query import connect
from pullstudy.tables import TABLES, arrange

_RULES = Path(__file__).parents[3] / "workflow/sql/practice_verdicts.sql"
_find_instruction = re.compile(r"(RUN|WORKDIR|MAINTAINER) (.*)", re.DOTALL).fullmatch
# RUN --mount=… as BuildKit keeps it.
_find_flags = re.compile(r"((?:--[a-z]+(?:=\S+)?\s+)*)(.*)", re.DOTALL).fullmatch

# What to do instead.
FIXES = {
    "latest_tag": "name a version: latest is another image tomorrow",
    "no_tag": "name a version: without one it is latest, another image tomorrow",
    "digest_pinned": "pin it by digest, name:tag@sha256:…, so that every node runs the same bytes",
    "healthcheck": "add a HEALTHCHECK where the container serves something",
    "no_user": "end with a USER that is not root",
    "root_user": "end with a USER that is not root",
    "maintainer": "replace MAINTAINER by LABEL org.opencontainers.image.authors",
    "shell_form": 'write CMD and ENTRYPOINT as ["program", "argument"], so that signals arrive',
    "sudo": "leave out sudo: RUN is root until USER",
    "cd_in_run": "use WORKDIR instead of cd",
    "apt_update_with_install": "join apt-get update and apt-get install in one RUN",
    "apt_update_alone": "join apt-get update and apt-get install in one RUN",
    "apt_clean": "remove /var/lib/apt/lists/* in the RUN that runs apt-get update",
    "apt_no_install_recommends": "add --no-install-recommends to apt-get install",
    "apt_upgrade": "take a newer base image instead of apt-get upgrade",
    "apk_no_cache": "add --no-cache to apk add",
    "pip_no_cache_dir": "add --no-cache-dir to pip install",
    "download_piped_to_shell": "download to a file and check its digest before it is run",
    "pipe_without_pipefail": "set -o pipefail, so that the first command of a pipe may fail",
}


@dataclass(frozen=True)
class Broken:
    """A practice that an image breaks: `cases` of `occasions` go against it."""

    practice: str
    cases: int
    occasions: int
    fix: str


def find_broken(images: Sequence[ReadImage]) -> list[list[Broken]]:
    """Judge images together; returns what each breaks. Images without a config break nothing."""
    tables = {
        "dockerfiles": _dockerfiles(images),
        "stages": _stages(images),
        "instructions": _instructions(images),
    }
    with connect({}) as connection:
        for name, rows in tables.items():
            connection.register(name, rows)
        found = connection.execute(
            f"SELECT dockerfile_id, practice, cases, occasions, is_violated FROM ({_rules()})"
        ).fetchall()
    broken: list[list[Broken]] = [[] for _ in images]
    for number, practice, cases, occasions, is_violated in found:
        if is_violated and practice in FIXES:
            against = occasions - cases if practice in _WANTED else cases
            broken[number].append(Broken(practice, against, occasions, FIXES[practice]))
    order = list(FIXES)
    return [sorted(of_one, key=lambda b: order.index(b.practice)) for of_one in broken]


# Practices whose name is what should be done; the others are named after the mistake.
_WANTED = frozenset(
    {
        "digest_pinned",
        "healthcheck",
        "apt_update_with_install",
        "apt_clean",
        "apt_no_install_recommends",
        "apk_no_cache",
        "pip_no_cache_dir",
    }
)


def _rules() -> str:
    return _RULES.read_text().rstrip().rstrip(";")


def _dockerfiles(images: Sequence[ReadImage]) -> pa.Table:
    count = len(images)
    return _arrange(
        "dockerfiles",
        {
            "dockerfile_id": list(range(count)),
            "collection": ["images"] * count,
            "repository": [image.name for image in images],
            "path": [""] * count,
            "content_sha256": [""] * count,
            "size_bytes": [0] * count,
            "content": [""] * count,
            "is_utf8": [True] * count,
            "parse_failure": [None] * count,
            "parse_detail": [None] * count,
        },
    )


def _stages(images: Sequence[ReadImage]) -> pa.Table:
    rows = [_stage(number, image) for number, image in enumerate(images) if image.config]
    return _from_rows("stages", rows)


def _stage(number: int, image: ReadImage) -> dict[str, Any]:
    reference = image.reference
    return {
        "dockerfile_id": number,
        "stage_number": 0,
        "line": 1,
        "base": image.name,
        "base_resolved": image.name,
        "registry": reference.registry if reference else None,
        "repository": reference.repository if reference else None,
        "tag": reference.tag if reference else None,
        "digest": reference.digest if reference else None,
        "platform": None,
        "alias": None,
        "is_scratch": False,
        "is_earlier_stage": False,
        "has_variable": False,
        "is_resolved": True,
    }


def _instructions(images: Sequence[ReadImage]) -> pa.Table:
    rows = []
    for number, image in enumerate(images):
        if image.config is not None:
            found = [*_from_history(image.config), *_from_settings(image.config.config)]
            rows += [_instruction(number, line, *each) for line, each in enumerate(found, start=1)]
    return _from_rows("instructions", rows)


def _from_history(config: ImageConfig) -> list[tuple[str, str, bool]]:
    """Instructions that only the history tells of: keyword, arguments, whether in exec form."""
    steps = [clean_command(entry.created_by or "") for entry in config.history or []]
    return [(match[1], match[2], False) for match in map(_find_instruction, steps) if match]


def _from_settings(settings: RunSettings | None) -> list[tuple[str, str, bool]]:
    """Instructions by what they have led to: how a container starts."""
    if settings is None:
        return []
    found = []
    for keyword, command in (("ENTRYPOINT", settings.entrypoint), ("CMD", settings.cmd)):
        if command:
            is_shell = command[:2] in (["/bin/sh", "-c"], ["/bin/bash", "-c"])
            found.append((keyword, " ".join(command), not is_shell))
    if settings.user:
        found.append(("USER", settings.user, False))
    test = settings.healthcheck.test if settings.healthcheck else None
    if test and test != ["NONE"]:
        found.append(("HEALTHCHECK", " ".join(test), False))
    return found


def _instruction(number: int, line: int, keyword: str, value: str, is_json: bool) -> dict[str, Any]:
    flags: list[str] = []
    if keyword == "RUN" and (match := _find_flags(value)):
        flags, value = match[1].split(), match[2]
    return {
        "dockerfile_id": number,
        "instruction_number": line,
        "stage_number": 0,
        "keyword": keyword,
        "flags": flags,
        "value": value,
        "arguments": [value],
        "is_json": is_json,
        "line": line,
        "last_line": line,
    }


def _from_rows(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = [column.name for column in TABLES[table].columns]
    return _arrange(table, {name: [row[name] for row in rows] for name in names})


def _arrange(table: str, columns: Mapping[str, list[Any]]) -> pa.Table:
    return arrange(TABLES[table], columns)
