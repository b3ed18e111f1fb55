"""How much of a pull study is archived: its clusters, and those of which pulls are kept."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path, PurePosixPath

from pullstudy.archive.members import list_folders
from pullstudy.query import connect
from pullstudy.tables import write_table

PART = "pulls"
# One folder for each run and cluster size that the paper tells of.
_CLUSTERS = "pulling/metadata"


def cover_archive(archive: Path, folder: Path) -> None:
    """Write coverage.parquet beside the tables of `replay_archive`: one row, in clusters.

    A cluster is expected when the archive has a folder for its run and size, present when a pull
    of it is in `pulls`. Raises ArchiveError.
    """
    expected = _find_clusters(list_folders(archive, _CLUSTERS))
    present = expected & _read_clusters(folder / "pulls.parquet")
    absent = _describe(expected - present)
    columns = {
        "part": [PART],
        # An archive that holds nothing of the pulls is not complete.
        "expected": [len(expected) or 1],
        "present": [len(present)],
        "detail": [
            f"clusters of which no pull is kept: {absent or 'none'}"
            if expected
            else f"{_CLUSTERS} is missing"
        ],
    }
    write_table("coverage", folder / "coverage.parquet", columns)


def _find_clusters(folders: Iterable[str]) -> set[tuple[str, int]]:
    """Find (run, nodes) in paths such as `pulling/metadata/run1/4`."""
    inner = [PurePosixPath(name).relative_to(_CLUSTERS).parts for name in folders]
    return {
        (parts[0], int(parts[1])) for parts in inner if len(parts) == 2 and parts[1].isdecimal()
    }


def _read_clusters(pulls: Path) -> set[tuple[str, int]]:
    study = PurePosixPath(_CLUSTERS).parts[0]
    with connect({"pulls": [pulls]}) as connection:
        rows = connection.execute(
            "SELECT DISTINCT run, cluster_size FROM pulls WHERE study = $study", {"study": study}
        ).fetchall()
    return set(rows)


def _describe(clusters: Iterable[tuple[str, int]]) -> str:
    """Say `run1 of 32, 64 nodes; run2 of 8 nodes`."""
    runs = groupby(sorted(clusters), key=lambda cluster: cluster[0])
    return "; ".join(f"{run} of {', '.join(str(n) for _, n in sizes)} nodes" for run, sizes in runs)
