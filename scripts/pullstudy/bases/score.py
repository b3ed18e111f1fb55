"""Which base image fits the paths of an image best.

The score is the paper's, as container-guts computes it: with B the paths of all bases and
shared = A ∩ B, the score against a base b is |shared ∩ b| / |shared|. It is the share of the known
paths that the base explains, so a base whose paths are among those of another one never wins
(alpine:3.20 and alpine:3.19 in the pinned database). The Jaccard index beside it,
|A ∩ b| / (|A| + |b| - |A ∩ b|), counts what either side lacks, and decides between equal scores.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from pullstudy.bases.database import BaseDatabase

# What Docker puts into every container that it starts (moby, daemon/initlayer/setup_unix.go). The
# database was made from running containers, images in a registry do not have it.
DOCKER_PATHS = frozenset(
    (
        "/.dockerenv",
        "/dev/console",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/mtab",
        "/etc/resolv.conf",
    )
)


@dataclass(frozen=True)
class BaseScore:
    """One base: how many of the known paths it has, the paper's score, and the Jaccard index."""

    base: str
    shared_paths: int
    base_paths: int
    score: float
    jaccard: float


@dataclass(frozen=True)
class Classification:
    """One image: `scores` of all bases, best first; none when no path of the image is known.

    image_paths: without Docker's own. known_paths: |shared|, with them, as in the paper.
    """

    name: str
    image_paths: int
    known_paths: int
    scores: tuple[BaseScore, ...]

    @property
    def best(self) -> BaseScore | None:
        """The base with the highest score."""
        return self.scores[0] if self.scores else None

    @property
    def closest(self) -> BaseScore | None:
        """The base with the highest Jaccard index."""
        return max(self.scores, key=lambda score: score.jaccard, default=None)


def classify_paths(name: str, paths: Set[str], database: BaseDatabase) -> Classification:
    """Score an image against all bases.

    paths: of the image, as `ImageFiles.paths` gives them. Docker's own paths are added for the
    score, since the database has them, and left out of both sides of the Jaccard index.
    """
    own = frozenset(paths) - DOCKER_PATHS
    shared = (own | DOCKER_PATHS) & database.known_paths
    if own.isdisjoint(database.known_paths):
        return Classification(name, len(own), len(shared), ())
    scores = [
        _score_base(base, own, shared, base_paths) for base, base_paths in database.paths.items()
    ]
    scores.sort(key=lambda score: (-score.score, -score.jaccard, score.base))
    return Classification(name, len(own), len(shared), tuple(scores))


def _score_base(
    base: str, own: frozenset[str], shared: frozenset[str], base_paths: frozenset[str]
) -> BaseScore:
    found = len(shared & base_paths)
    bare = base_paths - DOCKER_PATHS
    common = len(own & bare)
    jaccard = common / (len(own) + len(bare) - common)
    return BaseScore(base, found, len(base_paths), found / len(shared), jaccard)
