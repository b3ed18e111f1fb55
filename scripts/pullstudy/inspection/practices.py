"""Which best practices an image breaks, by the rules that the study applies to Dockerfiles.

The history of an image is read as the Dockerfile that it was built from, and its reference as the
FROM of whoever uses it; `workflow/sql/practice_verdicts.sql` then judges as it does for the corpus.
Rules that need what the history does not keep (stages, flags, overridden CMDs) are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pullstudy.inspection.documents import ImageConfig, RunSettings
from pullstudy.inspection.layers import clean_command
from pullstudy.inspection.reading import ReadImage

_RULES = Path(__file__).parents[3] / "workflow/sql/practice_verdicts.sql"
_find_instruction = re.compile(r"(RUN|WORKDIR|MAINTAINER) (.*)", re.DOTALL).fullmatch
# RUN --mount=… as BuildKit keeps it.
_find_flags = re.compile(r"((?:--[a-z]+(?:=\S+)?\s+)*)(.*)", re.DOTALL).fullmatch

# What the rules read of each table, with DuckDB's types.
_FORMS = {
    "dockerfiles": {"dockerfile_id": "BIGINT"},
    "stages": {
        "dockerfile_id": "BIGINT",
        "stage_number": "INTEGER",
        **dict.fromkeys(("registry", "repository", "tag", "digest"), "VARCHAR"),
    },
    "instructions": {
        "dockerfile_id": "BIGINT",
        "stage_number": "INTEGER",
        "instruction_number": "INTEGER",
        "keyword": "VARCHAR",
        "flags": ["VARCHAR"],
        "value": "VARCHAR",
        "arguments": ["VARCHAR"],
        "is_json": "BOOLEAN",
    },
}
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
    # Its database takes longer to load than all else here: see inspect_images.
    from pullstudy.query import connect

    tables = {
        "dockerfiles": [{"dockerfile_id": number} for number in range(len(images))],
        "stages": [_stage(number, image) for number, image in enumerate(images) if image.config],
        "instructions": list(_instructions(images)),
    }
    with connect({}) as connection:
        for name, rows in tables.items():
            # As JSON: it needs no library that takes longer to load than all of this takes.
            connection.execute(
                f"CREATE TABLE {name} AS SELECT unnest(from_json($rows, $form), max_depth := 2)",
                {"rows": json.dumps(rows), "form": json.dumps([_FORMS[name]])},
            )
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


def _stage(number: int, image: ReadImage) -> dict[str, Any]:
    named = asdict(image.reference) if image.reference else {}
    return {"dockerfile_id": number, "stage_number": 0, **named}


def _instructions(images: Sequence[ReadImage]) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(images):
        if image.config is not None:
            found = [*_from_history(image.config), *_from_settings(image.config.config)]
            for place, each in enumerate(found):
                yield _instruction(number, place, *each)


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


def _instruction(
    number: int, place: int, keyword: str, value: str, is_json: bool
) -> dict[str, Any]:
    flags: list[str] = []
    if keyword == "RUN" and (match := _find_flags(value)):
        flags, value = match[1].split(), match[2]
    return {
        "dockerfile_id": number,
        "stage_number": 0,
        "instruction_number": place,
        "keyword": keyword,
        "flags": flags,
        "value": value,
        "arguments": [value],
        "is_json": is_json,
    }
