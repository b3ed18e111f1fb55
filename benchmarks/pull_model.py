"""The model at 10,000 nodes and 38 images, and what it misses by where it was not calibrated.

    python benchmarks/pull_model.py MEASURED_PULLS.parquet PULL_IMAGES.parquet

Prints seconds (limit 60), and per held-out run and cluster size the median error (limit 15 %).
"""

import sys
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pullstudy.pulls.extrapolate import Plan, extrapolate
from pullstudy.pulls.model import Network

NODES, LAYERS = 10_000, (9, 125)
# A registry that is felt: 10,000 nodes draw their images from 10 GB/s.
SHARED = Network(node_bytes_per_second=1e9, egress_bytes_per_second=1e10)


def main() -> None:
    measured, images = (Path(argument) for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        table = pq.read_table(images)
        crafted = Path(folder) / "images.parquet"
        pq.write_table(table.filter(pc.field("layers").cast("int32").isin(LAYERS)), crafted)
        run = pq.read_table(measured).filter(pc.field("strategy") == "plain")["run"].to_pylist()[0]
        for name, network in (("nothing shared", Network()), ("shared egress", SHARED)):
            begin = time.perf_counter()
            plan = Plan([NODES], [run], network)
            count = extrapolate(measured, [crafted], Path(folder) / "out", plan)
            seconds = time.perf_counter() - begin
            print(f"{name}: {count} pulls of {NODES} nodes in {seconds:.1f} s (limit 60)")
        errors = pq.read_table(Path(folder) / "out/model_errors.parquet").to_pylist()
    for row in errors:
        print(
            f"{row['run']:>18} not seen: {row['held_out']:<12} {row['level']:>15}"
            f"  median error {row['median_error']:.1%}, 90 % below {row['p90_error']:.1%}"
        )
    limit = [row["median_error"] for row in errors if row["held_out"] != "size"]
    print(f"largest median error of a run or cluster not seen: {max(limit):.1%} (limit 15 %)")


if __name__ == "__main__":
    main()
