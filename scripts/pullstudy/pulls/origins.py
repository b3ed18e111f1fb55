"""Find out of a path which study, run and cluster a file of pull runs belongs to.

The published layout is `<study>/metadata/<run>/<nodes>/events-size-<nodes>-<time>.json` with one
folder level more or less; what was aggregated stands in `<study>/analysis/data/<run>/`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import msgspec

from pullstudy.pulls.record import Cluster

_STUDY_MARKS = ("metadata", "analysis")
_SHOWN_PARTS = 4
_match_size_folder = re.compile(
    r"(?:size|nodes?)?[-_]?(\d{1,6})(?:[-_]?nodes?)?", re.IGNORECASE
).fullmatch
_search_size_name = re.compile(r"(?:size|nodes)[-_]?(\d{1,6})(?:[-_.]|$)", re.IGNORECASE).search


class Origin(msgspec.Struct, frozen=True):
    """Where a file comes from: `shown` is its path as the tables write it."""

    cluster: Cluster
    folder: str
    shown: str


def find_origin(path: str, study: str | None = None) -> Origin:
    """Read the study, the run and the cluster size out of a path.

    The run is the innermost folder that is no cluster size, else the file's own name; the study
    is the folder before `metadata` or `analysis`, else the folder around the run, unless given.
    """
    parts = PurePosixPath(path).parts
    folders = [part for part in parts[:-1] if part != "/"]
    mark = _find_mark(folders)
    inner = folders if mark is None else folders[mark + 1 :]
    names = [name for name in inner if not _match_size_folder(name)]
    run = names[-1] if names else PurePosixPath(parts[-1]).stem
    if mark is not None and mark > 0:
        found, shown = folders[mark - 1], parts[parts.index(folders[mark]) - 1 :]
    else:
        found, shown = names[-2] if len(names) > 1 else run, parts[-_SHOWN_PARTS:]
    cluster = Cluster(study or found, run, _find_size(inner, parts[-1]))
    return Origin(cluster, "/".join(folders), "/".join(part for part in shown if part != "/"))


def _find_mark(folders: list[str]) -> int | None:
    found = [number for number, name in enumerate(folders) if name in _STUDY_MARKS]
    return found[0] if found else None


def _find_size(folders: list[str], name: str) -> int | None:
    named = _search_size_name(name)
    matches = [named, *(_match_size_folder(folder) for folder in reversed(folders))]
    return next((int(match[1]) for match in matches if match is not None), None)
