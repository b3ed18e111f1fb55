"""Tags, manifests and configs of the base images, asked of their registries."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.registry.live import harvest_named

with report_to(snakemake.log[0]):
    summary = harvest_named(
        Path(snakemake.input.names),
        Path(snakemake.params.folder),
        Path(snakemake.params.cache),
        snakemake.params.options,
    )
    print(summary)
