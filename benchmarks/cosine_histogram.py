"""The cosine histogram against numpy's own float32 product: at least 60 % of its rate.

    python benchmarks/cosine_histogram.py [ROWS [THREADS [SHARDS]]]

Makes ROWS (default 200,000) vectors of 300 dimensions, 240 MB, and counts one of SHARDS (default
as many as give 2.5e9 pairs each) shards of their pairs, three times. Before and after each it
times numpy's `@` on blocks of the same size, with the same threads, on the same vectors. Prints
the nanoseconds per pair by the clock and in processor time, the median of the ratios (processor
time says more when other work runs on the machine), the time that all pairs would take, and the
peak memory of the process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from pullstudy.similarity.cosine import BLOCK_ROWS, cosine_histogram, make_edges

RATIO_LIMIT = 0.6
MEMORY_LIMIT_MB = 2000
DIMENSIONS = 300
PAIRS_PER_SHARD = 2.5e9
REPEATS = 3
BLOCKS = 200


def make_vectors(rows: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((40, DIMENSIONS), dtype=np.float32)
    vectors = generator.standard_normal((rows, DIMENSIONS), dtype=np.float32)
    for start in range(0, rows, BLOCK_ROWS):
        part = vectors[start : start + BLOCK_ROWS]
        part += 0.7 * centres[generator.integers(0, len(centres), len(part))]
    return vectors


def multiply_blocks(vectors: np.ndarray, threads: int) -> float:
    """Run numpy's product block by block over the vectors; return the number of entries."""
    product = np.empty((BLOCK_ROWS, BLOCK_ROWS), np.float32)
    starts = np.random.default_rng(1).integers(0, len(vectors) - BLOCK_ROWS, (BLOCKS, 2))
    with threadpool_limits(threads, user_api="blas"):
        for left, right in starts:
            np.matmul(
                vectors[left : left + BLOCK_ROWS],
                vectors[right : right + BLOCK_ROWS].T,
                out=product,
            )
    return BLOCKS * product.size


def measure(run: Callable[[], float]) -> np.ndarray:
    """Return the nanoseconds per pair, by the clock and in processor time."""
    begin = np.array([time.perf_counter(), time.process_time()])
    pairs = run()
    return (np.array([time.perf_counter(), time.process_time()]) - begin) / pairs * 1e9


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    pairs = rows * (rows - 1) / 2
    shards = int(sys.argv[3]) if len(sys.argv) > 3 else max(1, round(pairs / PAIRS_PER_SHARD))
    vectors, edges = make_vectors(rows), make_edges(20)
    print(f"{rows} x {DIMENSIONS}, {threads} threads, 1 of {shards} shards, blocks of {BLOCK_ROWS}")
    ratios = []
    for _ in range(REPEATS):
        product = measure(lambda: multiply_blocks(vectors, threads))
        ours = measure(
            lambda: cosine_histogram(vectors, edges, shards=shards, threads=threads).sum()
        )
        product = (product + measure(lambda: multiply_blocks(vectors, threads))) / 2
        ratios.append(product / ours)
        print("ns per pair by the clock (in processor time):", end=" ")
        print(f"product {product[0]:.2f} ({product[1]:.2f}),", end=" ")
        print(f"histogram {ours[0]:.2f} ({ours[1]:.2f})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    clock, processor = np.median(ratios, axis=0)
    print(f"ratio {clock:.2f} ({processor:.2f}), at least {RATIO_LIMIT};", end=" ")
    print(f"all pairs in {ours[0] * pairs / 1e9:.0f} s")
    print(f"peak of the process {peak:.0f} MB (at most {MEMORY_LIMIT_MB})")
    return 0 if processor >= RATIO_LIMIT and peak <= MEMORY_LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
