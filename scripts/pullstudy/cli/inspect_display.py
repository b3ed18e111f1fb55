"""What `pullstudy inspect` shows: a block for each image, and one line for each of many."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pullstudy.cli.costs import say_bytes, say_seconds
from pullstudy.cli.images import open_console
from pullstudy.inspection.layers import InspectedLayer
from pullstudy.inspection.report import Inspection, PullCost, PullPlan
from pullstudy.inspection.sharing import distinct_bytes

# Of more images each has one line.
_BLOCKS_MAX = 4
_DAYS_PER_YEAR = 365.25
# What stands before the command that made a layer.
_NUMBERS_WIDTH = 25


@contextlib.contextmanager
def count_images(total: int) -> Iterator[Callable[[], None]]:
    """Show how many images have been read and how fast, where somebody watches."""
    console = Console(stderr=True)
    start = time.monotonic()
    done = 0
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(console.status("")) if console.is_terminal else None

        def count() -> None:
            nonlocal done
            done += 1
            rate = done / max(time.monotonic() - start, 1e-3)
            if status is not None:
                status.update(f"{done} of {total} images, {rate:.0f} a second")

        yield count


def print_inspections(
    inspections: Sequence[Inspection], met: dict[str, list[str]], plan: PullPlan, layers: int
) -> None:
    """Print images, and the conditions of --fail-on that they meet."""
    console = open_console()
    if len(inspections) <= _BLOCKS_MAX:
        for inspection in inspections:
            _print_block(console, inspection, plan, layers)
    else:
        _print_summary(console, inspections, plan)
    if len(inspections) > 1:
        every = [layer for inspection in inspections for layer in inspection.layers]
        together = distinct_bytes(every)
        alone = sum(inspection.size_bytes for inspection in inspections)
        console.print(
            f"All {len(inspections)} images: {say_bytes(alone)}, {say_bytes(together)} where each "
            "layer is pulled once.",
            highlight=False,
        )
    for name, texts in met.items():
        console.print(Text(f"{name}: fails on {', '.join(texts)}", style="bold red"))


def _print_block(console: Console, inspection: Inspection, plan: PullPlan, layers: int) -> None:
    image = inspection.image
    console.print(Text(image.name, style="bold"))
    console.print(Text(image.digest, style="dim"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(inspection, plan):
        facts.add_row(Text(label), value if isinstance(value, Text) else Text(value))
    console.print(facts)
    if layers and inspection.layers:
        console.print()
        console.print(_tabulate_layers(inspection, layers, console.width))
    if inspection.broken:
        console.print()
        console.print(_tabulate_practices(inspection))
    console.print()


def _facts(inspection: Inspection, plan: PullPlan) -> Iterable[tuple[str, str | Text]]:
    image = inspection.image
    yield "platform", f"{image.platform}" + (f" of {image.offered}" if image.offered else "")
    if inspection.layers:
        count = len(inspection.layers)
        yield "size", f"{say_bytes(inspection.size_bytes)} in {count} layer{'s' * (count != 1)}"
        yield "created", _say_age(inspection)
        base = inspection.base
        yield "base", f"{base.name} (known by {base.known_by})" if base else "unknown"
    for refusal in inspection.refusals:
        text = Text(f"{refusal.who}: {refusal.reason}", style="red")
        yield "refused by", text.append(f"; {refusal.advice}", style="default")
    for label, layers, advice in _waste(inspection):
        yield label, f"{_say_numbers(layers)}: {advice}"
    for share in inspection.shares:
        whole = ", all that it has" if share.is_base else ""
        yield (
            "shares",
            (f"{share.layers} layers, {say_bytes(share.size_bytes)} with {share.with_name}{whole}"),
        )
    if inspection.layers:
        for cost in inspection.costs:
            yield "pull", _say_cost(cost, inspection, plan)


def _say_age(inspection: Inspection) -> str:
    created = inspection.image.config and inspection.image.config.created
    if not created:
        return "not recorded"
    if inspection.age_days is None:
        return f"{created[:10]}, which no build can be: the stamp of a reproducible build"
    days = inspection.age_days
    age = f"{days / _DAYS_PER_YEAR:.1f} years" if days >= _DAYS_PER_YEAR else f"{days:.0f} days"
    return f"{created[:10]}, {age} ago"


def _waste(inspection: Inspection) -> Iterable[tuple[str, list[InspectedLayer], str]]:
    empty = [layer for layer in inspection.layers if layer.is_empty]
    repeated = [layer for layer in inspection.layers if layer.is_repeated and not layer.is_empty]
    if empty:
        yield "empty", empty, "no file in them, yet each counts as a layer; leave those steps out"
    if repeated:
        yield "repeated", repeated, "the same content again; leave the second step out"


def _say_numbers(layers: Sequence[InspectedLayer], most: int = 8) -> str:
    numbers = ", ".join(str(layer.number) for layer in layers[:most])
    more = f" and {len(layers) - most} more" if len(layers) > most else ""
    return f"layer{'s' * (len(layers) != 1)} {numbers}{more}"


def _say_cost(cost: PullCost, inspection: Inspection, plan: PullPlan) -> str:
    nodes = plan.cluster.nodes
    times = say_seconds(cost.cold_seconds)
    dollars = f"${cost.cold_dollars:,.2f}"
    if inspection.missing_bytes != inspection.size_bytes:
        times += f" cold, {say_seconds(cost.warm_seconds)} warm"
        dollars += f" cold, ${cost.warm_dollars:,.2f} warm"
    where = f" on each of {nodes} nodes" if nodes > 1 else ""
    speed = f"{cost.speed.megabytes_per_second:.3g} MB/s"
    source = "" if cost.speed.speed_source == "stated" else f" ({cost.speed.speed_source})"
    price = f"; {dollars} for all nodes" if plan.cluster.dollars_per_node_hour else ""
    return f"{times}{where} at {speed}{source}{price}"


def _tabulate_layers(inspection: Inspection, most: int, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for title in ("layer", "size", "share"):
        table.add_column(title, justify="right", no_wrap=True, header_style="cyan")
    table.add_column("made by", no_wrap=True, header_style="cyan")
    for layer in inspection.largest[:most]:
        share = layer.size_bytes / inspection.size_bytes if inspection.size_bytes else 0.0
        table.add_row(
            str(layer.number),
            say_bytes(layer.size_bytes),
            f"{100 * share:.0f} %",
            _cut(layer.command or "not recorded", width - _NUMBERS_WIDTH),
        )
    left = inspection.largest[most:]
    if left:
        size = sum(layer.size_bytes for layer in left)
        table.add_row("", say_bytes(size), "", Text(f"{len(left)} smaller layers", style="dim"))
    return table


def _cut(text: str, width: int) -> Text:
    cut = Text(text)
    cut.truncate(width, overflow="ellipsis")
    return cut


def _tabulate_practices(inspection: Inspection) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("practice broken", no_wrap=True, header_style="cyan", style="yellow")
    table.add_column("times", justify="right", header_style="cyan")
    table.add_column("do this instead", header_style="cyan")
    for broken in inspection.broken:
        table.add_row(broken.practice, str(broken.cases), Text(broken.fix))
    return table


def _print_summary(console: Console, inspections: Sequence[Inspection], plan: PullPlan) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="cyan")
    table.add_column("image", overflow="fold", ratio=1)
    for title in ("size", "layers", "shared", "pull", "broken"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("refused by", overflow="fold")
    for each in inspections:
        shared = max((share.size_bytes for share in each.shares), default=0)
        table.add_row(
            Text(each.image.name),
            say_bytes(each.size_bytes),
            str(len(each.layers)),
            say_bytes(shared),
            say_seconds(each.costs[0].cold_seconds),
            str(len(each.broken)),
            Text("; ".join(refusal.who for refusal in each.refusals), style="red"),
        )
    console.print(table)
