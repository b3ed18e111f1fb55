"""Tables of images read file by file: scores against base images, comparisons."""

from __future__ import annotations

from pullstudy.tables.columns import BOOL, FLOAT64, INT64, LABEL, NAME, TEXT, Column, make_table

BASE_TABLES = (
    make_table(
        "base_scores",
        "one classified image and one base image of the database",
        NAME,
        Column("base", TEXT, "the base image"),
        Column("image_paths", INT64, "paths of the image, without those that Docker adds"),
        Column("known_paths", INT64, "of these and Docker's, those that any base has"),
        Column("shared_paths", INT64, "of the known paths, those that this base has"),
        Column("base_paths", INT64, "paths of this base"),
        Column("score", FLOAT64, "shared_paths / known_paths, as the paper scores"),
        Column("jaccard", FLOAT64, "Jaccard index of image and base, without Docker's"),
    ),
    make_table(
        "image_comparisons",
        "one level of reproducibility of two images",
        Column("set_name", LABEL, "container set that both belong to; null: none", True),
        Column("name_a", TEXT, "the one image"),
        Column("name_b", TEXT, "the other image"),
        Column(
            "level",
            LABEL,
            "manifest, config, layers, unpacked_layers, commands, files, contents, paths, base",
        ),
        Column("is_identical", BOOL, "nothing differs on this level"),
        Column("shared", INT64, "elements that both have"),
        Column("in_a", INT64, "elements of the one"),
        Column("in_b", INT64, "elements of the other"),
        Column("score", FLOAT64, "2 shared / (in_a + in_b), as Singularity Hub scores"),
        Column("jaccard", FLOAT64, "shared / (in_a + in_b - shared)"),
    ),
)
