"""The table of the cost of pulling."""

from __future__ import annotations

from pullstudy.tables.columns import FLOAT64, INT32, INT64, LABEL, Column, make_table

COST_TABLES = (
    make_table(
        "costs",
        "one set of images, pulled onto every node of one cluster at one speed",
        Column("scenario", LABEL, "the slides' example, or the container set"),
        Column("definition", LABEL, "as_published (the slides' inputs and rounding) or right"),
        Column("images", INT32, "images of the set"),
        Column("shared_layers", INT64, "layers a node pulls when it keeps what images share"),
        Column("separate_layers", INT64, "layers it pulls when nothing is shared or kept"),
        Column("shared_bytes", INT64, "compressed bytes of shared_layers"),
        Column("separate_bytes", INT64, "compressed bytes of separate_layers"),
        Column("speed", LABEL, "slow, typical, fast"),
        Column("speed_source", LABEL, "where the speed is from: stated, measured, assumed"),
        Column("megabytes_per_second", FLOAT64, "10^6 compressed bytes a node pulls in a second"),
        Column("nodes", INT32, "nodes of the cluster; all pull at the same time"),
        Column("dollars_per_node_hour", FLOAT64, "price of a node, used or waiting"),
        Column("shared_seconds", FLOAT64, "time to pull shared_bytes"),
        Column("separate_seconds", FLOAT64, "time to pull separate_bytes"),
        Column("saved_seconds", FLOAT64, "the difference of the two"),
        Column("shared_dollars", FLOAT64, "price of the cluster for shared_seconds"),
        Column("separate_dollars", FLOAT64, "price of the cluster for separate_seconds"),
        Column("saved_dollars", FLOAT64, "price of the cluster for saved_seconds"),
    ),
)
