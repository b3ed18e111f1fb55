"""The Dockerfile corpus in the published archive.

Layout, below `experiments/dockerfile/data/`: collection/owner/repository/path, and one level more
for the collection of organisations: orgs/organisation/owner/repository/path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pullstudy.archive.members import read_members
from pullstudy.dockerfiles.notes import write_notes
from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles

DATA = "dockerfile/data"
# The collections of the published archive, and the folders between each and the owner; of any
# other collection as of most.
COLLECTIONS = {"machine-learning": 0, "orgs": 1, "rseng": 0}
# Beside them lies what was made from them.
_OTHER_DATA = "dockerfile"

# Why a member of the archive is no Dockerfile of the corpus.
OUTSIDE = "outside_of_the_corpus"
OTHER_NAME = "not_named_dockerfile"
TOO_SHORT = "no_repository_in_path"

_search_collection = re.compile(r"(?:^|/)dockerfile/data/([^/]+)/(.+)", re.DOTALL).search


def tabulate_corpus(archive: Path, folder: Path) -> None:
    """Write the tables of the stage `corpus` of an archive into the folder.

    Raises ArchiveError. A collection that the archive lacks is said in `coverage`.
    """
    skipped: list[tuple[str, str]] = []
    members = read_members(archive, [DATA], without=[f"{DATA}/{_OTHER_DATA}"])
    tabulate_dockerfiles(read_corpus(members, skipped), folder)
    table = pq.read_table(folder / "dockerfiles.parquet", columns=["collection"])
    present = set(pc.unique(table["collection"].cast("string")).to_pylist())
    absent = ", ".join(name for name in COLLECTIONS if name not in present)
    detail = f"collections without a Dockerfile: {absent or 'none'}"
    found = len(present.intersection(COLLECTIONS))
    write_notes(folder, skipped, len(COLLECTIONS), found, detail)


def locate_dockerfile(member_path: str) -> tuple[str, str, str] | None:
    """Return collection, repository (owner/name) and path in it; None: not of the corpus.

    member_path: path in the archive, with or without the folders above `dockerfile/data`.
    """
    location = _locate(member_path)
    return None if isinstance(location, str) else location


def read_corpus(
    members: Iterable[tuple[str, bytes]], skipped: list[tuple[str, str]] | None = None
) -> Iterator[SourceFile]:
    """Yield the Dockerfiles of the corpus in the order of the members (path, content).

    skipped: takes up, while the result is read, path and reason of the members passed over.
    """
    for member_path, content in members:
        location = _locate(member_path)
        if not isinstance(location, str):
            yield SourceFile(*location, content)
        elif skipped is not None:
            skipped.append((member_path, location))


def _locate(member_path: str) -> tuple[str, str, str] | str:
    """Return the location, or the reason why there is none."""
    match = _search_collection(member_path)
    if match is None or match[1] == _OTHER_DATA:
        return OUTSIDE
    collection, names = match[1], match[2].split("/")
    if not names[-1].startswith("Dockerfile"):
        return OTHER_NAME
    names = names[COLLECTIONS.get(collection, 0) :]
    if len(names) < 3:
        return TOO_SHORT
    return collection, "/".join(names[:2]), "/".join(names[2:])
