"""The sample's share of the published histograms: none."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.sample.strategies import write_histograms

with report_to(snakemake.log[0]):
    write_histograms(Path(snakemake.output.published_cosine).parent)
