"""Digest Jaccard of repositories in at most 2 s, of all images in at most 60 s and 4 GB.

    python benchmarks/jaccard.py SUBSET LAYERS

SUBSET and LAYERS are tables `subset` and `layers` (Parquet) of the published archive. Prints the
time of each part, reading included, and the peak memory of the process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from pullstudy.similarity.jaccard import (
    count_jaccard,
    group_equal_sets,
    jaccard_matrix,
    read_digest_sets,
    summarise_jaccard,
    write_neighbours,
)

REPOSITORIES_LIMIT_S = 2.0
IMAGES_LIMIT_S = 60.0
MEMORY_LIMIT_MB = 4000
NEIGHBOURS = 10


def compare_repositories(subset: Path) -> float:
    begin = time.perf_counter()
    sets = read_digest_sets(subset, "name")
    matrix = jaccard_matrix(sets)
    statistics = summarise_jaccard(count_jaccard(group_equal_sets(sets)), len(sets.owners))
    seconds = time.perf_counter() - begin
    print(f"{len(matrix)} repositories: mean {statistics.published_mean:.16f},", end=" ")
    print(f"s.d. {statistics.published_sd:.13f}, {seconds:.2f} s (at most {REPOSITORIES_LIMIT_S})")
    return seconds


def compare_images(layers: Path, folder: Path) -> float:
    begin = time.perf_counter()
    sets = read_digest_sets(layers, "image_id")
    distinct = group_equal_sets(sets)
    counts = count_jaccard(distinct)
    write_neighbours(sets, NEIGHBOURS, folder / "sets.parquet", folder / "neighbours.parquet")
    seconds = time.perf_counter() - begin
    print(f"{len(sets.owners)} images, {len(distinct.owners)} distinct:", end=" ")
    print(f"{len(counts.pairs)} similarities, {seconds:.2f} s (at most {IMAGES_LIMIT_S})")
    return seconds


def main() -> int:
    subset, layers = map(Path, sys.argv[1:3])
    repositories = compare_repositories(subset)
    with tempfile.TemporaryDirectory() as folder:
        images = compare_images(layers, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"peak of the process {peak:.0f} MB (at most {MEMORY_LIMIT_MB})")
    met = repositories <= REPOSITORIES_LIMIT_S and images <= IMAGES_LIMIT_S
    return 0 if met and peak <= MEMORY_LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
