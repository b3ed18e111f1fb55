"""Where the results of a run come from: inputs, config, code, versions, and what each rule took.

`describe_run` is the part that is the same in every run on the same inputs; the paper prints it.
`write_provenance` adds times, which Snakemake keeps for each file that it has made (one JSON file
each below `.snakemake/metadata`, named by the base64 of the file's path).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pullstudy.files import replace_atomically

_PACKAGE = "pullstudy"
# What a run is made by; results and tests are not in it.
_CODE = ("Snakefile", "scripts", "workflow")
_CODE_ENDINGS = frozenset({".py", ".smk", ".sql", ".json", ".rst", ".lock", ""})


def describe_run(inputs: Sequence[Path], archive: Path | None) -> dict[str, Any]:
    """Return versions and input hashes of a run.

    inputs: tracked files that the study is made from. archive: record of the published archive,
    where one is used.
    """
    return {
        "python": platform.python_version(),
        "packages": [[name, metadata.version(name)] for name in _list_dependencies()],
        "inputs": [[path.as_posix(), _hash(path)] for path in sorted(inputs)],
        "archive": json.loads(archive.read_text()) if archive else None,
    }


def write_provenance(
    output: Path,
    run: Mapping[str, Any],
    config: Mapping[str, Any],
    results: Path,
    records: Path = Path(".snakemake/metadata"),
) -> None:
    """Write `provenance.json`, atomically.

    results: folder of the study. records: what Snakemake keeps of the files that it has made.
    """
    document = {
        "study": config["study"],
        "config": config,
        "seed": config["seed"],
        "code_sha256": digest_tree(Path()),
        "commit": _read_commit(),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        **run,
        "rules": list(_list_rules(records, results)),
    }
    with replace_atomically(output) as partial:
        partial.write_text(json.dumps(document, indent=2, default=str) + "\n")


def digest_tree(root: Path) -> str:
    """Digest all files that a run is made by, with their paths; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for top in _CODE:
        for path in sorted([root / top, *(root / top).rglob("*")]):
            if path.is_file() and path.suffix in _CODE_ENDINGS and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _list_rules(records: Path, results: Path) -> Iterator[dict[str, Any]]:
    """Yield one entry for each job of the study: its rule, times, outputs and input hashes."""
    jobs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for target, record in _read_records(records):
        if not target.startswith(f"{results.as_posix()}/"):
            continue
        key = (record.get("rule"), record.get("starttime"), record.get("job_hash"))
        job = jobs.setdefault(
            key,
            {
                "rule": record.get("rule"),
                "started_at_utc": _say_time(record.get("starttime")),
                "ended_at_utc": _say_time(record.get("endtime")),
                "inputs": record.get("input") or [],
                "input_checksums": record.get("input_checksums") or {},
                "outputs": [],
            },
        )
        job["outputs"].append(target)
    for job in sorted(jobs.values(), key=lambda job: (str(job["started_at_utc"]), job["rule"])):
        yield job | {"outputs": sorted(job["outputs"])}


def _read_records(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            # A long name is cut into folders that begin with @.
            parts = [part.removeprefix("@") for part in path.relative_to(folder).parts]
            try:
                yield base64.b64decode("".join(parts)).decode(), json.loads(path.read_bytes())
            except (binascii.Error, ValueError):
                continue  # being written, or not Snakemake's


def _say_time(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def _list_dependencies() -> Iterable[str]:
    required = map(Requirement, metadata.requires(_PACKAGE) or [])
    return sorted(r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""}))


def _read_commit() -> str | None:
    """The commit of the working tree, with `+` where it was changed since; None without git."""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return run.stdout.strip() or None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
