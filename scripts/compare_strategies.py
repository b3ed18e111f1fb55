"""What the images of each container set share, and what pulling them in an order takes."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity import jaccard, strategies
from pullstudy.tables import empty_instead

out = dict(snakemake.output.items())
with report_to(snakemake.log[0]), empty_instead(**out):
    sets = strategies.read_container_sets(Path(snakemake.input.container_sets))
    strategies.write_build_strategies(sets, Path(out["build_strategies"]))
    strategies.write_pull_orders(sets, Path(out["pull_orders"]))
    compared = [(each.name, strategies.digest_sets_of(each)) for each in sets]
    jaccard.write_jaccard_summary(compared, Path(out["jaccard_summary"]))
