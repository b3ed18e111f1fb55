"""Tables of what was crafted, and of what would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pullstudy.craft.build import CraftedImage
from pullstudy.craft.plan import Cell, Plan, PlannedImage
from pullstudy.craft.study import Study
from pullstudy.tables import TableWriter

Columns = dict[str, list[Any]]


def write_crafted(path: Path, studies: Sequence[tuple[Study, Sequence[CraftedImage]]]) -> None:
    """Write the table `crafted_images` of some studies."""
    with TableWriter("crafted_images", path) as writer:
        for study, crafted in studies:
            writer.write(_describe_crafted(study, crafted))


def write_planned(path: Path, plans: Sequence[Plan]) -> None:
    """Write the table `planned_images`: of each study those to be made, then those to be skipped.

    A layer counts as shared when another image of any of the plans has it too.
    """
    images = [image for plan in plans for image in plan.images]
    uses = Counter(name for image in images for name in set(_name_layers(image)))
    with TableWriter("planned_images", path) as writer:
        for plan in plans:
            writer.write(_describe_planned(plan, uses))


def _describe_crafted(study: Study, crafted: Sequence[CraftedImage]) -> Columns:
    same = {
        "size_of": "compressed" if study.is_compressed else "uncompressed",
        "shared_layer_count": study.shared_layers,
        "compression": study.compression_name,
        "content": study.content_name,
        "files_per_layer": study.files_per_layer,
        "base": study.base,
        "reads_share": study.reads_share,
        "platform": study.platform,
        "seed": study.seed,
    }
    cells = [image.planned.cell for image in crafted]
    return _describe_cells(study, cells) | {
        "tag": [cell.tag for cell in cells],
        "copy": [cell.copy for cell in cells],
        "compressed_bytes": [image.compressed_bytes for image in crafted],
        "uncompressed_bytes": [image.uncompressed_bytes for image in crafted],
        "layer_count": [image.layer_count for image in crafted],
        "digest": [image.digest for image in crafted],
        **{name: [value] * len(crafted) for name, value in same.items()},
    }


def _describe_planned(plan: Plan, uses: Counter[str]) -> Columns:
    made, skipped = plan.images, plan.skipped
    cells = [*(image.cell for image in made), *(image.cell for image in skipped)]
    nothing = [None] * len(skipped)
    shared = [sum(uses[name] > 1 for name in _name_layers(image)) for image in made]
    return _describe_cells(plan.study, cells) | {
        "layer_count": [cell.layer_count for cell in cells],
        "compressed_bytes": [*(image.compressed_bytes for image in made), *nothing],
        "uncompressed_bytes": [*(image.uncompressed_bytes for image in made), *nothing],
        "largest_layer_bytes": [*(image.largest_layer_bytes for image in made), *nothing],
        "shared_layer_count": [*shared, *nothing],
        "compression": [plan.study.compression_name] * len(cells),
        "content": [plan.study.content_name] * len(cells),
        "skipped_because": [*([None] * len(made)), *(image.reason for image in skipped)],
    }


def _describe_cells(study: Study, cells: Sequence[Cell]) -> Columns:
    return {
        "study": [study.name] * len(cells),
        "name": [_name_image(study, cell) for cell in cells],
        "percentile": [cell.size.percentile for cell in cells],
        "target_bytes": [cell.size.total_bytes for cell in cells],
    }


def _name_image(study: Study, cell: Cell) -> str:
    return f"{study.uri}:{cell.tag}" if study.uri else cell.tag


def _name_layers(image: PlannedImage) -> list[str]:
    return [*(blob.digest for blob in image.base), *(layer.recipe for layer in image.layers)]
