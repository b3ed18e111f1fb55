"""`pullstudy cost`: what pulling a set of images costs a cluster, best and worst."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullstudy.cli.costs import Bandwidth, Measured, choose_speeds, say_bytes, say_seconds
from pullstudy.cli.images import (
    AsJson,
    Mirrors,
    OnePlatform,
    PlainHttp,
    open_console,
    print_json,
)
from pullstudy.errors import ConfigError

if TYPE_CHECKING:
    from pullstudy.cost.examples import Slides
    from pullstudy.cost.formula import Workload

_HOUSE = Path(__file__).parents[3]

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE",
        help="Images whose real layers count; without any, the slides' examples or --layer.",
        show_default=False,
    ),
]
Applications = Annotated[
    int, typer.Option(min=1, help="Images, where --layer says what is in one.")
]
Layers = Annotated[
    list[str],
    typer.Option(
        "--layer", metavar="COUNTxMB", help="Layers of one image: 16x12, or 3600; repeatable."
    ),
]
ClusterSizes = Annotated[
    list[int], typer.Option("--nodes", min=1, help="Nodes of a cluster; repeatable.")
]
Price = Annotated[float, typer.Option(min=0, help="Dollars per hour of one node.")]


def cost(
    images: Images = None,
    applications: Applications = 10,
    layer: Layers = [],  # noqa: B006 (typer hands out copies)
    bandwidth: Bandwidth = None,
    measured: Measured = None,
    nodes: ClusterSizes = [32],  # noqa: B006
    price: Price = 98.32,
    as_json: AsJson = False,
    platform: OnePlatform = "linux/amd64",
    plain_http: PlainHttp = False,
    mirror: Mirrors = [],  # noqa: B006
) -> None:
    """Reckon what pulling a set of images costs, in seconds and in dollars of waiting nodes.

    Shared: a node keeps all layers and pulls each once. Separate: each image alone. For IMAGEs
    their own layers count; images that are described by --layer have all layers in common (shared)
    or none (separate).
    """
    from pullstudy.cost.formula import Cluster, cost_of

    if images and layer:
        raise ConfigError("choose one of IMAGE… and --layer")
    if images or layer or bandwidth or measured:
        speeds = choose_speeds(bandwidth, measured)
    else:
        speeds = _read_slides().speeds
    if images:
        workloads = [_read_workload(images, platform, mirror, plain_http=plain_http)]
    elif layer:
        workloads = [_describe_workload(applications, layer)]
    else:
        workloads = [example.right for example in _read_slides().examples]
    clusters = [Cluster(size, price) for size in nodes]
    rows = [cost_of(*each) for each in itertools.product(workloads, speeds, clusters)]
    if as_json:
        print_json({"costs": rows})
    else:
        _print_table(rows)


def _read_workload(
    images: list[str], platform: str, mirrors: list[str], *, plain_http: bool
) -> Workload:
    from pullstudy.cli.inspect import make_settings
    from pullstudy.cost.formula import Workload
    from pullstudy.inspection.reading import read_manifests
    from pullstudy.registry.platforms import parse_platform

    settings = make_settings(mirrors, plain_http=plain_http)
    each = [
        {layer.digest: layer.size for layer in manifest.layers}
        for manifest in read_manifests(images, settings, parse_platform(platform))
    ]
    union = {digest: size for layers in each for digest, size in layers.items()}
    return Workload(
        f"{len(each)} images",
        len(each),
        len(union),
        sum(map(len, each)),
        sum(union.values()),
        sum(sum(layers.values()) for layers in each),
    )


def _describe_workload(applications: int, layers: list[str]) -> Workload:
    from pullstudy.cost.examples import identical_images

    found: dict[int, int] = {}
    for text in layers:
        count, times, megabytes = text.rpartition("x")
        try:
            size, number = round(float(megabytes) * 1e6), int(count) if times else 1
        except (ValueError, OverflowError):
            size, number = -1, 0
        if size < 0 or number < 1:
            raise ConfigError(
                f"--layer: {text!r}: write it like 16x12 (16 layers of 12 MB) or 3600"
            )
        found[size] = found.get(size, 0) + number
    return identical_images(f"{applications} applications", applications, found)


def _read_slides() -> Slides:
    from pullstudy.cost.examples import read_slides

    schema = _HOUSE / "workflow/schemas/cost.schema.json"
    return read_slides(_HOUSE / "resources/cost.yaml", schema)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="cyan")
    for title in ("pulled", "layers", "size", "MB/s", "nodes", "time", "price"):
        table.add_column(title, justify="left" if title == "pulled" else "right", no_wrap=True)
    before = None
    for row in rows:
        if row["scenario"] != before:
            table.add_row(f"[bold]{row['scenario']}[/bold]")
            before = row["scenario"]
        where = (f"{row['megabytes_per_second']:.3g}", str(row["nodes"]))
        for case in ("shared", "separate"):
            table.add_row(
                f"  {case}", f"{row[f'{case}_layers']:,}", say_bytes(row[f"{case}_bytes"]), *where,
                say_seconds(row[f"{case}_seconds"]), f"${row[f'{case}_dollars']:,.2f}",
            )  # fmt: skip
        table.add_row(
            "  saved by sharing", "", "", *where, say_seconds(row["saved_seconds"]),
            f"${row['saved_dollars']:,.2f}", style="green",
        )  # fmt: skip
    open_console().print(table)
