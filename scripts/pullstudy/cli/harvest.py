"""`pullstudy harvest`: repositories of live registries to Parquet tables."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pullstudy.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from pullstudy.registry.plan import HarvestSettings

Repositories = Annotated[
    list[str],
    typer.Argument(
        metavar="REPOSITORY",
        help="Repositories (ubuntu, ghcr.io/owner/name); name:tag takes one tag only.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the tables; run again with it to go on.")]
PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Ask the registries without encryption.")
]
Platforms = Annotated[
    list[str], typer.Option("--platform", help="Taken from multi-platform images; repeatable.")
]
MaxTags = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many tags of a repository; all when not given."),
]
Mirrors = Annotated[
    list[str],
    typer.Option(
        "--mirror",
        metavar="REGISTRY=URL",
        help="Ask URL instead: docker.io=http://127.0.0.1:5000; * stands for all others.",
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests under way at once, per registry.")]
Rate = Annotated[
    float | None,
    typer.Option(min=0.001, help="Requests per second, per registry; no limit when not given."),
]
Attempts = Annotated[
    int, typer.Option(min=1, help="Tries before a temporary failure becomes a lasting one.")
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of fetched contents, shared by harvests; ~/.cache/pullstudy when not given."
    ),
]


def harvest(
    repositories: Repositories,
    out: Out,
    plain_http: PlainHttp = False,
    platform: Platforms = ["linux/amd64"],  # noqa: B006 (typer hands out copies)
    max_tags: MaxTags = None,
    mirror: Mirrors = [],  # noqa: B006
    concurrency: Concurrency = 16,
    rate: Rate = None,
    attempts: Attempts = 6,
    cache: Cache = None,
) -> None:
    """Harvest tags, manifests and configs of live registries into Parquet tables.

    Writes tags, images, layers, history, failures and coverage to OUT. A harvest that was stopped
    goes on where it was. Credentials are those of `docker login`.
    """
    # Loaded here, so that the other commands need not wait for it.
    from pullstudy.registry.limits import Limits
    from pullstudy.registry.plan import HarvestSettings, check_endpoint
    from pullstudy.registry.platforms import parse_platform

    settings = HarvestSettings(
        platforms=tuple(dict.fromkeys(map(parse_platform, platform))),
        tags_max=max_tags,
        plain_http=plain_http,
        endpoints={name: check_endpoint(url) for name, url in map(split_mirror, mirror)},
        limits={"*": Limits(concurrency, rate or math.inf)},
        attempts=attempts,
    )
    try:
        _harvest_visibly(repositories, out, cache or _default_cache(), settings)
    except KeyboardInterrupt:
        typer.echo("pullstudy: stopped; run again to go on", err=True)
        raise typer.Exit(130) from None


def _harvest_visibly(names: list[str], out: Path, cache: Path, settings: HarvestSettings) -> None:
    from rich.console import Console

    from pullstudy.registry import harvest
    from pullstudy.registry.display import Display

    display = Display(Console(stderr=True))
    summary = harvest.harvest(names, out, cache, settings, display)
    if summary.failures and not summary.tags:
        raise RegistryError(f"nothing could be harvested: {summary.first_failure}")
    typer.echo(f"{summary}; tables in {out}")


def _default_cache() -> Path:
    """`pullstudy/registry` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pullstudy" / "registry"


def split_mirror(text: str) -> tuple[str, str]:
    """Split `REGISTRY=URL`. Raises ConfigError."""
    registry, equals, base_url = text.partition("=")
    if not equals or not registry:
        raise ConfigError(f"{text!r}: no mirror; write it like docker.io=http://127.0.0.1:5000")
    return registry, base_url
