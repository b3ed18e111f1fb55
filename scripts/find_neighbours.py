"""The images most similar to each image by layer digests."""

from pathlib import Path

from pullstudy.errors import report_to
from pullstudy.similarity.jaccard import read_digest_sets, write_neighbours
from pullstudy.tables import empty_instead

out = snakemake.output
with (
    report_to(snakemake.log[0]),
    empty_instead(image_sets=out.sets, image_neighbours=out.neighbours),
):
    sets = read_digest_sets(Path(snakemake.input.layers), "image_id")
    write_neighbours(sets, snakemake.params.nearest, Path(out.sets), Path(out.neighbours))
