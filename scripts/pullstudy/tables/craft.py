"""Tables of crafted images."""

from __future__ import annotations

from pullstudy.tables.columns import FLOAT64, INT32, INT64, LABEL, TEXT, Column, make_table

_STUDY = Column("study", LABEL, "name of the study file, without its ending")

CRAFT_TABLES = (
    make_table(
        "crafted_images",
        "one crafted image",
        _STUDY,
        Column("name", TEXT, "repository and tag; the tag alone where there is no repository"),
        Column("tag", TEXT, "the tag"),
        Column("copy", INT32, "which of several alike, counted from 1"),
        Column("percentile", FLOAT64, "percentile of real images with this size", True),
        Column("target_bytes", INT64, "size that was asked for"),
        Column("size_of", LABEL, "what the target counts: compressed or uncompressed"),
        Column("compressed_bytes", INT64, "compressed bytes of all layers in the manifest"),
        Column(
            "uncompressed_bytes",
            INT64,
            "bytes of all unpacked layers; null: it stands on a base whose size is unknown",
            True,
        ),
        Column("layer_count", INT32, "layers in the manifest, those of the base included"),
        Column("shared_layer_count", INT32, "layers it has in common with the whole study"),
        Column("compression", LABEL, "none, gzip, zstd, estargz; with its level, if any"),
        Column("content", LABEL, "random, zeros, or ratio and its number"),
        Column("files_per_layer", INT32, "crafted files in each crafted layer"),
        Column("base", TEXT, "image it stands on", True),
        Column("reads_share", FLOAT64, "share of its crafted bytes read at start, 0 to 1"),
        Column("platform", LABEL, "os/architecture"),
        Column("seed", INT64, "seed of its content"),
        Column("digest", TEXT, "digest of the manifest"),
    ),
    make_table(
        "planned_images",
        "one image of a crafting study, whether it can be made or not",
        _STUDY,
        Column("name", TEXT, "repository and tag; the tag alone where there is no repository"),
        Column("percentile", FLOAT64, "percentile of real images with this size", True),
        Column("target_bytes", INT64, "size that was asked for"),
        Column("layer_count", INT32, "layers that were asked for"),
        Column("compressed_bytes", INT64, "size it will have; null: it is skipped", True),
        Column("uncompressed_bytes", INT64, "unpacked size; null: skipped or unknown", True),
        Column("largest_layer_bytes", INT64, "its largest layer, compressed; null: skipped", True),
        Column(
            "shared_layer_count",
            INT32,
            "layers that another planned image has too; null: it is skipped",
            True,
        ),
        Column("compression", LABEL, "none, gzip, zstd, estargz; with its level, if any"),
        Column("content", LABEL, "random, zeros, or ratio and its number"),
        Column("skipped_because", TEXT, "why it will not be made; null: it will", True),
    ),
)
