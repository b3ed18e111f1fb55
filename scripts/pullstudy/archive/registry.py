"""The registry documents of the published archive, as tables.

One file per repository, `registry/<name>/manifests-config-layers.json`, keys tags, manifests and
configs. The name is what stood after FROM in some Dockerfile, and can be anything. Where the
registry could not be listed, `tags` holds the lines of the error message instead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set as AbstractSet
from pathlib import Path

from pullstudy.archive.members import read_ahead, read_members
from pullstudy.archive.published import SUBSET, Misfit, cover_file, read_subset, to_columns
from pullstudy.naming import is_tag
from pullstudy.registry.documents import (
    ARTIFACT,
    IMAGE,
    SCHEMA1,
    UNKNOWN,
    Config,
    Manifest,
    RepositoryDocument,
    UnreadableDocument,
    classify_manifest,
    decode_repository,
)
from pullstudy.registry.tabulate import RegistryTables, Repository, open_registry_tables
from pullstudy.tables import TableWriter

LISTING = "dockerfile/data/dockerfile/docker-images.txt"
REGISTRY = "dockerfile/data/dockerfile/registry"
_DOCUMENT = "manifests-config-layers.json"
_SHOWN_NAMES = 5

# Tags that cosign derives from an image's digest; the study's own collection left them out.
_match_signature_tag = re.compile(r"sha256-[0-9a-f]{64}\.(sig|att|sbom|vex|cosign)").fullmatch
_find_status = re.compile(r"status code (\d{3})").search
# Error codes of the OCI distribution specification 1.1, and what crane says of the network.
_LISTING_FAILURES = (
    (re.compile(r"\bUNAUTHORIZED\b|status code 401"), "unauthorized"),
    (re.compile(r"\bDENIED\b|status code 403"), "denied"),
    (re.compile(r"\bNAME_(UNKNOWN|INVALID)\b|status code 404"), "not_found"),
    (re.compile(r"\bTOOMANYREQUESTS\b|status code 429"), "too_many_requests"),
    (re.compile(r"\bGet \"?https?://|\bdial tcp\b|\blookup\b"), "unreachable"),
)


def tabulate_registry(archive: Path, folder: Path) -> None:
    """Write all tables of the stage `registry` of an archive to a folder.

    tags, images, layers, history, subset, failures and coverage. An image is a tag with an image
    manifest or a config: of a multi-platform tag the archive holds one config and no layers.
    What was asked for and is not there is a row of `failures`, as is a file that is broken.
    Raises ArchiveError.
    """
    files: dict[str, bytes] = {}
    present: set[str] = set()
    with (
        TableWriter("subset", folder / "subset.parquet") as subset,
        open_registry_tables(folder) as tables,
    ):
        for path, content in read_ahead(read_members(archive, [LISTING, SUBSET, REGISTRY])):
            name = path.removeprefix(f"{REGISTRY}/").removesuffix(f"/{_DOCUMENT}")
            if path in (LISTING, SUBSET):
                files[path] = content
            elif path == f"{REGISTRY}/{name}/{_DOCUMENT}":
                if _add_repository(tables, name, content):
                    present.add(name)
            else:
                tables.add_failure(path, "unexpected_file", detail=f"not a {_DOCUMENT}")
        listed = read_listing(files.get(LISTING, b""))
        _add_coverage(tables, listed, LISTING in files, present)
        _add_subset(tables, subset, files.get(SUBSET), len(listed))


def read_listing(content: bytes) -> list[str]:
    """Read the names of docker-images.txt, one per line, each once."""
    lines = content.decode("utf-8", "replace").split("\n")
    return list(dict.fromkeys(line.strip("\r") for line in lines if line.strip()))


def _add_repository(tables: RegistryTables, name: str, content: bytes) -> bool:
    """Add what a file holds; return whether it could be read."""
    repository = tables.add_repository(name)
    try:
        document, rejections = decode_repository(content)
    except UnreadableDocument as exc:
        tables.add_failure(name, exc.reason, detail=exc.detail)
        return False
    for reference, reason, detail in rejections:
        tables.add_failure(name, reason, reference=reference, detail=detail)
    if not _is_error_message(document):
        _add_tags(tables, repository, document, {r.reference for r in rejections})
    elif repository.registry is not None:
        _add_listing_failure(tables, name, "\n".join(document.tags or ()))
    return True


def _is_error_message(document: RepositoryDocument) -> bool:
    found = document.manifests or document.configs
    return bool(document.tags) and not found and not is_tag((document.tags or [""])[0])


def _add_listing_failure(tables: RegistryTables, name: str, message: str) -> None:
    # The message repeats the name, and the name may hold any word.
    words = message.removeprefix(f"crane ls {name}: ")
    status = _find_status(words)
    tables.add_failure(
        name,
        next((r for pattern, r in _LISTING_FAILURES if pattern.search(words)), "listing_failed"),
        status=int(status[1]) if status else None,
        detail=message,
    )


def _add_tags(
    tables: RegistryTables,
    repository: Repository,
    document: RepositoryDocument,
    rejected: AbstractSet[str | None],
) -> None:
    listed = document.tags or []
    manifests = document.manifests or {}
    configs = document.configs or {}
    tags = list(dict.fromkeys([*listed, *manifests, *configs]))
    for tag in tags:
        manifest, config = manifests.get(tag), configs.get(tag)
        kind = _classify_tag(tag, manifest)
        _add_tag(tables, repository, tag, kind, manifest, config)
        reason = _find_gap(tag, kind, manifest, config)
        if reason and tag not in rejected:
            detail = bytes(manifest.errors).decode("utf-8", "replace") if manifest else ""
            tables.add_failure(repository.name, reason, reference=tag, detail=detail or None)
    for tag, count in Counter(listed).items():
        for _ in range(count - 1):
            tables.add_failure(repository.name, "repeated_tag", reference=tag)
    if not tags:
        tables.add_failure(repository.name, "no_tags")


def _classify_tag(tag: str, manifest: Manifest | None) -> str:
    if manifest is not None:
        return classify_manifest(manifest)
    return ARTIFACT if _match_signature_tag(tag) else UNKNOWN


def _add_tag(
    tables: RegistryTables,
    repository: Repository,
    tag: str,
    kind: str,
    manifest: Manifest | None,
    config: Config | None,
) -> None:
    media_type = manifest.media_type if manifest else None
    tables.add_tag(repository, tag, kind, media_type)
    if manifest is not None and kind in (IMAGE, ARTIFACT):
        tables.add_image(repository, tag, kind, manifest, config)
    elif config is not None:
        tables.add_image(repository, tag, kind, None, config, media_type=media_type)


def _find_gap(tag: str, kind: str, manifest: Manifest | None, config: Config | None) -> str | None:
    """Name what is missing of a tag; None when nothing is that could be there."""
    if manifest is None:
        if not is_tag(tag):
            return "invalid_tag"
        return "skipped_signature" if kind == ARTIFACT else "no_manifest"
    if kind == SCHEMA1:
        return "schema1"
    if kind == UNKNOWN:
        return "unknown_manifest"
    return "no_config" if config is None and kind != ARTIFACT else None


def _add_coverage(
    tables: RegistryTables, listed: list[str], has_listing: bool, present: AbstractSet[str]
) -> None:
    tables.add_coverage(
        "registry_listing", 1, int(has_listing), f"{LISTING}: the repositories of the study"
    )
    names = listed if has_listing else sorted(present)
    missing = [name for name in names if name not in present]
    further = len(present) - (len(names) - len(missing))
    found = f"{len(missing)} of {len(names)} listed repositories have no readable {_DOCUMENT}"
    shown = ", ".join(missing[:_SHOWN_NAMES]) + (", …" if len(missing) > _SHOWN_NAMES else "")
    tables.add_coverage(
        "registry",
        # An archive that holds nothing of the registry is not complete.
        len(names) or 1,
        len(names) - len(missing),
        f"{found}{': ' if shown else ''}{shown}; {further} files are of repositories not listed",
    )


def _add_subset(
    tables: RegistryTables, writer: TableWriter, content: bytes | None, listed: int
) -> None:
    misfits: list[Misfit] = []
    rows = list(read_subset(content, misfits)) if content is not None else []
    writer.write(to_columns("subset", rows))
    for misfit in misfits:
        tables.add_failure(
            misfit.name, misfit.reason, reference=misfit.reference, detail=misfit.detail
        )
    found = len({name for name, *_ in rows})
    expected = max(listed, found)
    tables.add_coverage(*cover_file("subset", SUBSET, content is not None, expected, found))
