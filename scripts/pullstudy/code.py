"""Which files of the package a script runs on, and a digest over them.

Snakemake does not see a change in an imported module: the digest in a rule's `params` tells it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def digest_code(script: Path) -> str:
    """Digest `script` and every module of this package that it imports, directly or not.

    Returns 16 hexadecimal digits that depend on contents only, not on times or places.
    """
    digest = hashlib.sha256()
    for path in [script, *sorted(find_imported(script))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def find_imported(script: Path) -> set[Path]:
    """Find the package's files that `script` imports, transitively."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        fresh = _imports(waiting.pop()) - found
        found |= fresh
        waiting.extend(fresh)
    return found


@cache
def _imports(path: Path) -> frozenset[Path]:
    names = {name for node in ast.walk(ast.parse(path.read_bytes())) for name in _named_by(node)}
    return frozenset(file for name in names for file in _files_of(name))


def _named_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        # `from package import x`: x is a module of its own, or a name in the package.
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files_of(module: str) -> Iterator[Path]:
    """Yield the file of a module of this package, with the `__init__` files on the way to it."""
    top, *parts = module.split(".")
    if top != PACKAGE.name:
        return
    folder = PACKAGE
    yield folder / "__init__.py"
    for part in parts:
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
