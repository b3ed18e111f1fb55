"""`pullstudy inspect`: what could be known of images before they are pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pullstudy.cli.costs import Bandwidth, Measured, Nodes, Price, choose_speeds
from pullstudy.cli.images import AsJson, Mirrors, OnePlatform, PlainHttp, end_with_errors

if TYPE_CHECKING:
    from pullstudy.errors import PullstudyError
    from pullstudy.inspection.conditions import Condition
    from pullstudy.inspection.report import Inspection, PullPlan
    from pullstudy.registry.plan import HarvestSettings
    from pullstudy.registry.platforms import Platform

CONDITION_MET = 3

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help="Images (ubuntu:24.04, ghcr.io/owner/name@sha256:…, oci:FOLDER:TAG).",
        show_default=False,
    ),
]
Compared = Annotated[
    list[str],
    typer.Option(
        "--compare-with",
        metavar="IMAGE",
        help="Image that the nodes have already; repeatable. IMAGEs are compared in any case.",
    ),
]
WithLocal = Annotated[
    bool,
    typer.Option("--local/--no-local", help="Compare with Docker Engine's images on this machine."),
]
FailOn = Annotated[
    str,
    typer.Option(
        metavar="CONDITIONS",
        help="End with status 3 when one is met: size>2GB, layers>100, largest>1GB, age>365d, "
        "latest, empty, repeated, refused, or the name of a practice; joined by commas.",
    ),
]
LayersShown = Annotated[int, typer.Option("--layers", min=0, help="Show so many layers.")]
RegistryBandwidth = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="MB/S",
        help="What the registry gives to all nodes together; as much as they take when not given.",
    ),
]


def inspect(
    images: Images,
    compare_with: Compared = [],  # noqa: B006 (typer hands out copies)
    fail_on: FailOn = "",
    nodes: Nodes = 1,
    bandwidth: Bandwidth = None,
    measured: Measured = None,
    registry_bandwidth: RegistryBandwidth = None,
    price: Price = 0.0,
    layers: LayersShown = 5,
    local: WithLocal = True,
    as_json: AsJson = False,
    platform: OnePlatform = "linux/amd64",
    plain_http: PlainHttp = False,
    mirror: Mirrors = [],  # noqa: B006
) -> None:
    """Say of images what could be known before they are pulled.

    Reads manifests and configs only: at most five requests an image, all images at the same time.
    Sizes are compressed. Credentials are those of `docker login`.

    Exit status: 0 all is well; 1 an image could not be read; 2 wrong usage; 3 a condition of
    --fail-on is met.
    """
    from pullstudy.cost.formula import Cluster
    from pullstudy.inspection.conditions import parse_conditions
    from pullstudy.inspection.report import PullPlan
    from pullstudy.registry.platforms import parse_platform

    conditions = parse_conditions(fail_on)
    speeds = choose_speeds(bandwidth, measured)
    plan = PullPlan(Cluster(nodes, price), speeds, registry_bandwidth)
    settings = make_settings(mirror, plain_http=plain_http)
    found = _inspect([images, compare_with], settings, parse_platform(platform), plan, local)
    met = _check(found, conditions)
    _show(found, met, plan, layers, as_json=as_json)
    end_with_errors(found.values())
    if met:
        raise typer.Exit(CONDITION_MET)


def _inspect(
    names: list[list[str]],
    settings: HarvestSettings,
    platform: Platform,
    plan: PullPlan,
    with_local: bool,
) -> dict[str, Inspection | PullstudyError]:
    """Inspect images (first list) beside others (second), with a line of progress."""
    from pullstudy.cli.inspect_display import count_images
    from pullstudy.inspection.report import inspect_images

    images, compared = names
    with count_images(len({*images, *compared})) as count:
        return inspect_images(
            images, compared, settings, platform, plan, with_local=with_local, count=count
        )


def make_settings(mirrors: list[str], *, plain_http: bool) -> HarvestSettings:
    """How registries are asked while somebody waits for the answer. Raises ConfigError."""
    from pullstudy.cli.harvest import split_mirror
    from pullstudy.registry.limits import Limits
    from pullstudy.registry.plan import HarvestSettings, check_endpoint

    endpoints = {name: check_endpoint(url) for name, url in map(split_mirror, mirrors)}
    # Fewer attempts than a harvest makes, and no hours of patience.
    return HarvestSettings(
        plain_http=plain_http, endpoints=endpoints, limits={"*": Limits(100)},
        attempts=3, timeout_seconds=20.0, patience_seconds=30.0,
    )  # fmt: skip


def _check(
    found: dict[str, Inspection | PullstudyError], conditions: list[Condition]
) -> dict[str, list[str]]:
    """The conditions that each image meets; only images that meet one."""
    from pullstudy.inspection.report import Inspection

    met = {
        name: [condition.text for condition in conditions if condition.is_met(inspection)]
        for name, inspection in found.items()
        if isinstance(inspection, Inspection)
    }
    return {name: texts for name, texts in met.items() if texts}


def _show(
    found: dict[str, Inspection | PullstudyError],
    met: dict[str, list[str]],
    plan: PullPlan,
    layers: int,
    *,
    as_json: bool,
) -> None:
    from pullstudy.cli.images import print_json
    from pullstudy.cli.inspect_display import print_inspections
    from pullstudy.inspection.report import Inspection, to_document

    inspections = [each for each in found.values() if isinstance(each, Inspection)]
    if as_json:
        documents = [
            to_document(each, plan) | {"fails_on": met.get(each.image.name, [])}
            for each in inspections
        ]
        print_json({"images": documents})
    elif inspections:
        print_inspections(inspections, met, plan, layers)
