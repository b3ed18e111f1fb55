"""The files of an image: its layers applied one over the other, in memory.

Sources: OCI image specification 1.1, "Image Layer Filesystem Changeset" (whiteouts, opaque
whiteouts); containerd's package `archive` for what it leaves open: parents of an entry may be
symbolic links, which are followed inside of the image, and a folder takes the place of a file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pullstudy.bases.entries import FOLDER, HARDLINK, SYMLINK, Entry
from pullstudy.bases.faults import LayerFault
from pullstudy.bases.limits import Budget

_WHITEOUT = ".wh."
# Of AUFS itself, but for the opaque whiteout; runtimes do not unpack it.
_AUFS = ".wh..wh."
_OPAQUE = ".wh..wh..opq"
# As many as Linux follows: path_resolution(7).
_LINKS_MAX = 40


class FoundFile(NamedTuple):
    """One path of the image that is no folder.

    is_to_folder: a symbolic link, not an absolute one, to a folder of the image.
    """

    path: str
    entry: Entry
    is_to_folder: bool


class _Node:
    """One path. layer: the last one that set it. children: of a folder."""

    __slots__ = ("children", "entry", "layer")

    def __init__(self, layer: int, entry: Entry | None = None) -> None:
        self.layer = layer
        self.entry = entry
        self.children: dict[str, _Node] | None = None
        if entry is None or entry.kind == FOLDER:
            self.children = {}


class FileTree:
    """What a container would see of the image; nothing of it is on disk."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._layer = 0
        self._root = _Node(0)

    def apply(self, entries: Iterable[Entry]) -> None:
        """Put a layer over those that are there.

        Its whiteouts concern the layers below only, wherever they stand in it. Raises LayerFault
        for what no runtime would unpack.
        """
        self._layer += 1
        for entry in entries:
            self._budget.check_time()
            parts = _split(entry.path)
            if any(part.startswith(_AUFS) for part in parts[:-1]):
                continue
            if parts and parts[-1].startswith(_WHITEOUT):
                self._hide(parts[:-1], parts[-1])
            else:
                self._add(parts, entry)

    def files(self) -> Iterator[FoundFile]:
        """Yield all that is no folder, in the order of a walk; paths begin with a slash."""
        waiting: list[tuple[list[str], _Node]] = [([], self._root)]
        while waiting:
            self._budget.check_time()
            parts, node = waiting.pop()
            if node.children is not None:
                inner = sorted(node.children.items(), reverse=True)
                waiting += [([*parts, name], child) for name, child in inner]
            elif node.entry is not None:
                is_to_folder = self._is_to_folder(parts, node.entry)
                yield FoundFile("/" + "/".join(parts), node.entry, is_to_folder)

    def _hide(self, parts: list[str], name: str) -> None:
        """Obey a whiteout in a folder."""
        folder = self._enter(parts)
        if folder is None or folder.children is None:
            return
        if name == _OPAQUE:
            self._prune(folder)
        elif not name.startswith(_AUFS):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise LayerFault(f"has the whiteout {_show([*parts, name])}, which names no file")
            child = folder.children.get(hidden)
            if child is not None:
                self._prune(child)
                self._remove_if_lower(folder.children, hidden)

    def _prune(self, folder: _Node) -> None:
        """Take away what the layers below have put into a folder."""
        nodes = [folder]
        for node in nodes:
            self._budget.check_time()
            nodes.extend((node.children or {}).values())
        for node in reversed(nodes):
            for name in list(node.children or ()):
                self._remove_if_lower(node.children or {}, name)

    def _remove_if_lower(self, children: dict[str, _Node], name: str) -> None:
        if children[name].layer < self._layer and not children[name].children:
            del children[name]

    def _add(self, parts: list[str], entry: Entry) -> None:
        if not parts:
            if entry.kind != FOLDER:
                raise LayerFault(f"makes its root a {entry.kind}")
            return
        folder = self._enter(parts[:-1], make=True)
        if folder is None or folder.children is None:
            raise LayerFault(f"puts a file below {_show(parts[:-1])}, which is no folder")
        if entry.kind == HARDLINK:
            entry = self._follow_hard_link(parts, entry)
        fresh = _Node(self._layer, entry)
        known = folder.children.get(parts[-1])
        if known is not None and known.children and fresh.children is not None:
            fresh.children = known.children
        folder.children[parts[-1]] = fresh

    def _follow_hard_link(self, parts: list[str], entry: Entry) -> Entry:
        """Return the file that is to have another name."""
        target = _split(entry.content or "")
        folder = self._enter(target[:-1])
        children = (folder.children if folder is not None else None) or {}
        linked = children.get(target[-1]) if target else None
        if linked is None or linked.entry is None or linked.children is not None:
            raise LayerFault(f"links {_show(parts)} to {_show(target)}, which is no file of it")
        return linked.entry

    def _is_to_folder(self, parts: list[str], entry: Entry) -> bool:
        target = entry.content or ""
        if entry.kind != SYMLINK or target.startswith("/"):
            return False
        try:
            node = self._enter([*parts[:-1], *target.split("/")])
        except LayerFault:
            return False
        return node is not None and node.children is not None

    def _enter(self, parts: list[str], *, make: bool = False) -> _Node | None:
        """Go to a path as the kernel does with the image for its root; None when it is not there.

        Links are followed, `..` does not leave the root. make: folders that are missing are made.
        Raises LayerFault for links in a circle.
        """
        way = [self._root]
        left = parts[::-1]
        links = 0
        while left:
            name = left.pop()
            children = way[-1].children
            if children is None:
                return None
            if name in ("", ".", ".."):
                if name == ".." and len(way) > 1:
                    way.pop()
                continue
            if make and name not in children:
                self._budget.spend_entry()
                children[name] = _Node(self._layer)
            child = children.get(name)
            if child is None:
                return None
            if child.entry is None or child.entry.kind != SYMLINK:
                way.append(child)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise LayerFault(f"has links in a circle on the way to {_show(parts)}")
            target = child.entry.content or ""
            if target.startswith("/"):
                del way[1:]
            left += target.split("/")[::-1]
        return way[-1]


def _split(path: str) -> list[str]:
    """Split the path of an entry. Raises LayerFault when it leads out of the image."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise LayerFault(f"has an entry outside of the image: {path[:200]!r}")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _show(parts: list[str]) -> str:
    return repr(posixpath.join("/", *parts)[:200])
