"""The whole similarity stage of the study `paper` from Parquet: at most 15 minutes on 2 cores.

    python benchmarks/similarity_stage.py [results/paper/benchmarks]

Adds up what Snakemake measured of each job when the study was run: processor time, and the time by
the clock, which other work on the machine makes longer. A stage that takes 15 minutes of processor
time takes no longer than that on an idle machine, whatever the order of its jobs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

PROCESSOR_LIMIT_S = 15 * 60
RULES = (
    "write_documents",
    "fit_embedding",
    "embed_documents",
    "count_cosine_shard",
    "map_documents",
    "compare_digests",
    "find_neighbours",
    "compare_strategies",
)


def read_jobs(folder: Path) -> pd.DataFrame:
    """Read what was measured of all jobs; raises FileNotFoundError for a rule without any."""
    jobs = []
    for rule in RULES:
        files = [*folder.glob(f"{rule}.tsv"), *folder.glob(f"{rule}/**/*.tsv")]
        if not files:
            raise FileNotFoundError(f"{folder}: no job of {rule}; run the study first")
        jobs += [pd.read_csv(file, sep="\t", na_values="-").assign(rule=rule) for file in files]
    return pd.concat(jobs)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/paper/benchmarks")
    by_rule = read_jobs(folder).groupby("rule", sort=False)
    table = pd.DataFrame(
        {
            "jobs": by_rule.size(),
            "processor_s": by_rule["cpu_time"].sum(),
            "clock_s": by_rule["s"].sum(),
            "peak_mb": by_rule["max_rss"].max(),
        }
    )
    print(table.round(1).to_string())
    seconds = table["processor_s"].sum()
    print(f"{seconds:.0f} s of processor time (at most {PROCESSOR_LIMIT_S})", end=" ")
    print(f"ratio {seconds / PROCESSOR_LIMIT_S:.2f}")
    return 0 if seconds <= PROCESSOR_LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
