"""Backend `replay`: pull runs out of published event logs and node lists.

Files come one by one: those below one folder must follow each other, and manifests must come
before the events that need their sizes (as they do in the published archive). Only the folder at
hand and one number for each report are kept in memory. The same files give the same tables.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pullstudy.archive.members import read_members
from pullstudy.errors import EmptyCorpus, PullstudyError
from pullstudy.pulls.clusters import ClusterFiles, ClusterRows, make_rows
from pullstudy.pulls.documents import split_content
from pullstudy.pulls.manifests import find_repository, read_images
from pullstudy.pulls.nodes import describe_by_labels
from pullstudy.pulls.origins import Origin, find_origin
from pullstudy.pulls.podtimes import read_pod_times
from pullstudy.pulls.record import Cluster, Node, PullWriter, Tally
from pullstudy.pulls.reports import Report

_PUBLISHED_FOLDERS = ("pulling", "pulling-test")
_SUFFIXES = (".json", ".jsonl", ".ndjson")


class EventsError(PullstudyError):
    """There is nothing to replay under the given path."""


def replay(files: Iterable[tuple[str, bytes]], out: Path, study: str | None = None) -> int:
    """Write `pulls`, `nodes`, `jobs`, `pull_images` and `dropped` of event files into `out`.

    files: (path, content), folder by folder; see `is_event_path`.
    study: its name, for all files; None: by the path.
    Returns the number of pulls. Raises OSError when `out` cannot be written.
    """
    with PullWriter(out) as writer:
        return _Replay(writer, study).run(files)


def replay_archive(archive: Path, out: Path, study: str | None = None) -> int:
    """Replay the pull runs of the published archive, a tarball or a folder; see `replay`.

    Raises ArchiveError when the archive cannot be read, EmptyCorpus when it holds no pull runs.
    """
    members = read_members(archive, _PUBLISHED_FOLDERS)
    files = ((path, content) for path, content in members if is_event_path(path))
    first = next(files, None)
    if first is None:
        raise EmptyCorpus(f"{archive}: holds no event log below {' or '.join(_PUBLISHED_FOLDERS)}")
    return replay(itertools.chain([first], files), out, study)


def is_event_path(path: str) -> bool:
    """Whether a file may hold events, by its name: the others need not be handed to `replay`."""
    return path.endswith(_SUFFIXES)


def walk_files(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield (absolute path, content) of files, and of the event paths in folders, by their names.

    Raises EventsError when a path is not there or a folder holds no such file.
    """
    for path in paths:
        root = path.resolve()
        if not root.exists():
            raise EventsError(f"{path}: no such file or folder; give event logs to replay")
        found = [root] if root.is_file() else _find_json(root)
        if not found:
            raise EventsError(f"{path}: no {', '.join(_SUFFIXES)} file; give event logs to replay")
        for file in found:
            yield file.as_posix(), file.read_bytes()


def _find_json(folder: Path) -> list[Path]:
    """List the JSON files: those of one folder together, in the order of names."""
    found = [path for path in folder.rglob("*") if is_event_path(path.name) and path.is_file()]
    return sorted(found, key=lambda path: (path.parent.parts, path.name))


class _Folder(NamedTuple):
    """A folder of which files may still come, and what each of its files left out."""

    cluster: ClusterFiles
    tallies: list[tuple[Origin, Tally]]


class _Replay:
    """One pass over the files."""

    def __init__(self, writer: PullWriter, study: str | None) -> None:
        self._writer = writer
        self._study = study
        self._sizes: dict[str, int] = {}
        self._repositories: set[str] = set()
        self._nodes: dict[tuple[Cluster, str], Node] = {}
        self._digests: list[tuple[Origin, dict[Cluster, list[Report]], Tally]] = []
        self._keys: set[int] = set()
        self._open: dict[str, _Folder] = {}
        self._pull_count = 0

    def run(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Read all files, folder by folder, and write all tables."""
        for path, content in files:
            origin = find_origin(path, self._study)
            self._close_folders(origin.folder)
            if origin.folder not in self._open:
                self._open[origin.folder] = _Folder(ClusterFiles(origin.cluster), [])
            folder = self._open[origin.folder]
            tally: Tally = Counter()
            folder.tallies.append((origin, tally))
            self._read_file(origin, content, folder.cluster, tally)
        self._close_folders(None)
        for origin, clusters, tally in self._digests:
            self._write_digest(clusters, tally)
            self._writer.write_dropped(origin.cluster.study, origin.shown, tally)
        self._writer.write_nodes([self._nodes[key] for key in sorted(self._nodes, key=_by_cluster)])
        return self._pull_count

    def _read_file(
        self, origin: Origin, content: bytes, cluster: ClusterFiles, tally: Tally
    ) -> None:
        shape, documents = split_content(content)
        if shape == "manifests":
            self._add_images(origin, content, tally)
        elif shape == "pod_times":
            digest_tally: Tally = Counter()
            found = read_pod_times(content, origin.cluster, digest_tally)
            self._digests.append((origin, found, digest_tally))
        elif shape in ("empty", "other"):
            tally["file", "empty" if shape == "empty" else "no_events", None] += 1
        elif shape == "lines":
            cluster.read_lines(content, tally)
        else:
            cluster.read_objects(documents, tally)

    def _add_images(self, origin: Origin, content: bytes, tally: Tally) -> None:
        repository = find_repository(origin.folder)
        if repository is None:
            tally["file", "no_events", None] += 1
            return
        if any(repository.endswith(f"/{known}") for known in self._repositories):
            tally["file", "repeats_a_file", None] += 1
            return
        self._repositories.add(repository)
        images = read_images(content, repository, origin.cluster.study)
        self._sizes |= {image.image: image.compressed_bytes for image in images}
        self._writer.write_images(images)

    def _close_folders(self, following: str | None) -> None:
        """Write the folders that the following file's folder is not in: they are complete."""
        for name in list(self._open):
            if following is None or not f"{following}/".startswith(f"{name}/"):
                self._write_folder(self._open.pop(name))

    def _write_folder(self, folder: _Folder) -> None:
        rows = folder.cluster.finish(self._sizes)
        self._write(rows)
        for name, node in rows.nodes.items():
            self._nodes.setdefault((_cluster_of(node), name), node)
        self._keys.update(_key_of(report) for report in rows.reports)
        for origin, tally in folder.tallies:
            self._writer.write_dropped(origin.cluster.study, origin.shown, tally)

    def _write_digest(self, clusters: dict[Cluster, list[Report]], tally: Tally) -> None:
        """Write the pulls of a digest that no event log has told."""
        for cluster in sorted(clusters, key=lambda key: (key.run, key.cluster_size or 0)):
            known = len(clusters[cluster])
            reports = [r for r in clusters[cluster] if _key_of(r) not in self._keys]
            if repeated := known - len(reports):
                tally["pod", "repeats_an_event_log", None] += repeated
            nodes = {name: row for (owner, name), row in self._nodes.items() if owner == cluster}
            for name in {report.node for report in reports} - set(nodes):
                nodes[name] = describe_by_labels(cluster, name, None)
                self._nodes[cluster, name] = nodes[name]
            self._write(make_rows(cluster, reports, nodes, self._sizes, tally))

    def _write(self, rows: ClusterRows) -> None:
        self._writer.write_pulls(rows.pulls)
        self._writer.write_jobs(rows.jobs)
        self._pull_count += len(rows.pulls)


def _cluster_of(node: Node) -> Cluster:
    return Cluster(node.study, node.run, node.cluster_size)


def _key_of(report: Report) -> int:
    """Make a number of what a digest and an event log both tell of one report."""
    second = None if report.pulled_us is None else report.pulled_us // 1_000_000
    return hash((report.node, report.image, second, report.seconds))


def _by_cluster(key: tuple[Cluster, str]) -> tuple[str, str, int, str]:
    cluster, name = key
    return cluster.study, cluster.run, cluster.cluster_size or 0, name
