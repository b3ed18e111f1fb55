"""What a study will cost before it is begun: node-hours, and money where a price is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from pullstudy.errors import PullError
from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.kubernetes.options import Options


class Estimate(msgspec.Struct, frozen=True):
    """What one cluster of a study is expected to take; price: None where none is known."""

    cluster: str
    nodes: int
    trials: int
    hours: float
    node_hours: float
    price: float | None


def estimate_cluster(plan: ClusterPlan, repetitions: int, options: Options) -> Estimate:
    """Estimate by the sizes of the images and the rates in the options."""
    images = plan.settings.images
    moved = sum((image.nominal_bytes or 0) / 1e6 for image in images)
    seconds = repetitions * (
        len(images) * options.overhead_seconds + moved / options.pull_mb_per_second
    )
    seconds += options.start_seconds if options.cluster else 0.0
    node_hours = plan.size * seconds / 3600
    price = options.price_per_node_hour
    return Estimate(
        cluster=plan.key,
        nodes=plan.size,
        trials=repetitions * len(images),
        hours=seconds / 3600,
        node_hours=node_hours,
        price=None if price is None else price * node_hours,
    )


def describe_estimates(estimates: Sequence[Estimate]) -> Iterator[str]:
    """Yield the plan as lines of a table, the sum last."""
    yield f"{'cluster':<32}{'nodes':>7}{'trials':>8}{'hours':>9}{'node-hours':>12}{'price':>10}"
    for each in (*estimates, _sum(estimates)):
        price = "-" if each.price is None else f"{each.price:.2f}"
        yield (
            f"{each.cluster:<32}{each.nodes or '':>7}{each.trials:>8}{each.hours:>9.2f}"
            f"{each.node_hours:>12.2f}{price:>10}"
        )


def check_limits(estimates: Sequence[Estimate], options: Sequence[Options]) -> None:
    """Raise PullError when the study would need more than its limits."""
    total = _sum(estimates)
    hours = min(each.node_hours_limit for each in options)
    if total.node_hours > hours:
        raise PullError(
            f"the study is estimated to need {total.node_hours:.1f} node-hours, its limit is "
            f"{hours:g} (options.node_hours_limit); add --yes to run it all the same"
        )
    prices = [each.price_limit for each in options if each.price_limit is not None]
    if prices and total.price is not None and total.price > min(prices):
        raise PullError(
            f"the study is estimated to cost {total.price:.2f}, its limit is {min(prices):g} "
            "(options.price_limit); add --yes to run it all the same"
        )


def _sum(estimates: Sequence[Estimate]) -> Estimate:
    prices = [each.price for each in estimates if each.price is not None]
    return Estimate(
        cluster="all",
        nodes=0,
        trials=sum(each.trials for each in estimates),
        hours=sum(each.hours for each in estimates),
        node_hours=sum(each.node_hours for each in estimates),
        price=sum(prices) if prices else None,
    )
