"""All repositories of organisations and users on GitHub."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from pullstudy.corpus.github_api import GithubApi, ListedRepository, Refusal
from pullstudy.corpus.listing import Failure, Listing, Repository, drop_repeated, find_problem
from pullstudy.corpus.progress import print_line, wait_visibly
from pullstudy.errors import ConfigError

COLLECTION = "orgs"
# 100 is the largest page; by name, no repository made meanwhile shifts the pages much.
_QUERY = "per_page=100&sort=full_name&direction=asc"
_REASONS = {
    HTTPStatus.FORBIDDEN: "denied",
    HTTPStatus.NOT_FOUND: "gone",
    HTTPStatus.GONE: "gone",
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: "blocked",
}


def list_github(
    owners: Sequence[str], api_url: str, cache: Path, console: Console, *, forks: bool
) -> Listing:
    """List the public repositories of organisations and users, in the order of the owners.

    An owner that GitHub does not show, and a private repository, are failures of the list. forks:
    whether forks of other repositories belong to it. cache: folder for the pages. The token comes
    from GITHUB_TOKEN. Raises ConfigError or CorpusError.
    """
    if not owners:
        raise ConfigError("config: key 'corpus.organisations' is empty; name one at least")
    api = GithubApi(api_url, read_token(), cache, partial(wait_visibly, console))
    repositories: list[Repository] = []
    failures: list[Failure] = []
    for owner in dict.fromkeys(owners):
        try:
            listed = list_owner(api, owner)
        except Refusal as exc:
            reason = _REASONS[HTTPStatus(exc.status)]
            failures.append(Failure(owner, reason, status=exc.status, detail=str(exc)))
            print_line(console, f"github: {owner}: not to be had: {exc}")
            continue
        print_line(console, f"github: {owner}: {len(listed):,} repositories")
        for repository in listed:
            problem = _find_problem(repository)
            if repository.fork and not forks:
                continue
            if problem is None:
                repositories.append(
                    Repository(COLLECTION, repository.full_name, repository.clone_url)
                )
            else:
                failures.append(problem)
    return Listing(drop_repeated(repositories), failures)


def list_owner(api: GithubApi, owner: str) -> list[ListedRepository]:
    """List the repositories of an organisation or, where there is none, of a user, by name."""
    name = quote(owner, safe="")
    try:
        listed = api.list_repositories(f"/orgs/{name}/repos?type=all&{_QUERY}")
    except Refusal as exc:
        if exc.status != HTTPStatus.NOT_FOUND:
            raise
        listed = api.list_repositories(f"/users/{name}/repos?type=owner&{_QUERY}")
    return sorted(listed, key=lambda repository: repository.full_name.lower())


def read_token() -> str | None:
    """Read GITHUB_TOKEN. Raises ConfigError, which does not show it, when it cannot be one."""
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    if re.search(r"[^\x21-\x7e]", token):
        raise ConfigError("GITHUB_TOKEN holds characters that no token has; set it again")
    return token or None


def _find_problem(repository: ListedRepository) -> Failure | None:
    """Say why a listed repository is not to be crawled."""
    problem = find_problem(repository.clone_url)
    if problem is not None:
        return Failure(repository.full_name, "invalid_url", detail=problem)
    return Failure(repository.clone_url, "private") if repository.private else None
