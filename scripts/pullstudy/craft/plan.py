"""The plan: every image of a study with its exact sizes, before anything is made."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pullstudy.craft.formats import choose_format, choose_mix
from pullstudy.craft.layers import (
    Entry,
    Layer,
    LayerOrder,
    LayerTooLarge,
    LayerTooSmall,
    given_file,
    least_bytes,
    solve_layer,
)
from pullstudy.craft.limits import DOCKER_LAYER_LIMIT
from pullstudy.craft.program import ReadStep, build_program, program_bytes
from pullstudy.craft.stream import Blob
from pullstudy.craft.study import Size, Study, StudyError
from pullstudy.craft.tar_blocks import BLOCK_BYTES
from pullstudy.errors import CraftError

# What registries accept: 10 GB for each layer, the limit of ghcr.io among others.
REGISTRY_LAYER_LIMIT_BYTES = 10_000_000_000
PROGRAM_PATH = "pullstudy/start"


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix; `copy` counts from 1."""

    size: Size
    layer_count: int
    copy: int
    tag: str


@dataclass(frozen=True)
class PlannedImage:
    """One image to be made.

    layers: those to craft, lowest first; they stand on those of the base.
    uncompressed_bytes: None when there is a base, whose unpacked size no manifest tells.
    """

    cell: Cell
    base: tuple[Blob, ...]
    layers: tuple[Layer, ...]

    @property
    def compressed_bytes(self) -> int:
        """Bytes of all layers in the registry."""
        base = sum(blob.size_bytes for blob in self.base)
        return base + sum(layer.compressed_bytes for layer in self.layers)

    @property
    def largest_layer_bytes(self) -> int:
        """Compressed bytes of the largest layer, those of the base included."""
        own = (layer.compressed_bytes for layer in self.layers)
        return max(*own, 0, *(blob.size_bytes for blob in self.base))

    @property
    def uncompressed_bytes(self) -> int | None:
        """Bytes of all unpacked tars."""
        if self.base:
            return None
        return sum(layer.uncompressed_bytes for layer in self.layers)


@dataclass(frozen=True)
class SkippedImage:
    """One image that will not be made, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a study will make, and what it will not."""

    study: Study
    images: tuple[PlannedImage, ...]
    skipped: tuple[SkippedImage, ...]


class _Skip(CraftError):
    """Why a cell cannot be made."""


def plan_study(study: Study, base: Sequence[Blob] = (), *, beyond_limits: bool = False) -> Plan:
    """Lay out all images of a study; `base` are the layers that every image stands on.

    beyond_limits: make also what Docker or registries refuse (containerd accepts it).
    Raises CraftError when the study asks for the impossible as a whole.
    """
    if base and not study.is_compressed:
        raise StudyError(
            "key 'base': works with `size_of: compressed` only: its unpacked size is unknown"
        )
    planner = _Planner(study, tuple(base), beyond_limits=beyond_limits)
    images: list[PlannedImage] = []
    skipped: list[SkippedImage] = []
    for cell in _cells(study):
        try:
            images.append(planner.plan_image(cell))
        except (_Skip, LayerTooSmall, LayerTooLarge) as exc:
            skipped.append(SkippedImage(cell, str(exc)))
    return Plan(study, tuple(images), tuple(skipped))


def unique_layers(images: Iterable[PlannedImage]) -> list[Layer]:
    """Return every layer once, though images may share it."""
    return list({layer.recipe: layer for image in images for layer in image.layers}.values())


def _cells(study: Study) -> Iterator[Cell]:
    copies = range(1, study.copies + 1)
    for size, layer_count, copy in itertools.product(study.sizes, study.layer_counts, copies):
        yield Cell(size, layer_count, copy, _name_tag(study, size, layer_count, copy))


def _name_tag(study: Study, size: Size, layer_count: int, copy: int) -> str:
    """Name an image as the original does, plus what is not the default."""
    parts = [f"{layer_count}-layers-size-{size.total_bytes}-bytes"]
    if study.compression_name != "gzip":
        parts.append(study.compression_name)
    if study.content_name != "random":
        parts.append(study.content_name)
    if not study.is_compressed:
        parts.append("uncompressed")
    if study.architecture != "amd64":
        parts.append(study.architecture)
    if study.copies > 1:
        parts.append(str(copy))
    return "-".join(parts).replace(" ", "-")


class _Planner:
    """Plans the images of one study."""

    def __init__(self, study: Study, base: tuple[Blob, ...], *, beyond_limits: bool) -> None:
        self.study = study
        self.base = base
        self.base_bytes = sum(blob.size_bytes for blob in base)
        self.beyond_limits = beyond_limits
        self._order = LayerOrder(
            choose_format(study),
            choose_mix(study),
            stamp="",
            file_count=study.files_per_layer,
            target_bytes=0,
            is_compressed=study.is_compressed,
        )
        self._shared = self._plan_shared()

    def plan_image(self, cell: Cell) -> PlannedImage:
        """Plan one cell. Raises _Skip, LayerTooSmall or LayerTooLarge."""
        self._check_count(cell)
        layers = self._plan_with_program(cell)
        largest = max(layer.compressed_bytes for layer in layers)
        if largest > REGISTRY_LAYER_LIMIT_BYTES and not self.beyond_limits:
            raise _Skip(
                f"a layer would have {largest:,} bytes, registries take "
                f"{REGISTRY_LAYER_LIMIT_BYTES:,}; --beyond-limits makes it all the same"
            )
        return PlannedImage(cell, self.base, layers)

    def _check_count(self, cell: Cell) -> None:
        if cell.layer_count > DOCKER_LAYER_LIMIT and not self.beyond_limits:
            raise _Skip(
                f"{cell.layer_count} layers, Docker takes {DOCKER_LAYER_LIMIT}; "
                "--beyond-limits makes them all the same"
            )
        below = len(self.base) + self.study.shared_layers
        if cell.layer_count <= below:
            raise _Skip(
                f"{cell.layer_count} layers leave none of its own: {len(self.base)} of the base, "
                f"{self.study.shared_layers} shared"
            )

    def _plan_with_program(self, cell: Cell) -> tuple[Layer, ...]:
        """Plan all layers; the last holds the program, whose list names the files of all."""
        if not self.study.has_entrypoint:
            return self._plan_layers(cell, ())
        room = _whole_blocks(program_bytes(()))
        while True:
            blank = given_file(PROGRAM_PATH, bytes(room), 0o755)
            layers = self._plan_layers(cell, (blank,))
            steps = choose_reads(layers, self.study.reads_share)
            needed = program_bytes(steps)
            if needed <= room:
                return (*layers[:-1], self._put_program(layers[-1], steps, room))
            room = _whole_blocks(needed)

    def _put_program(self, layer: Layer, steps: Sequence[ReadStep], room: int) -> Layer:
        program = build_program(self.study.architecture, steps, room)
        fixed = (given_file(PROGRAM_PATH, program, 0o755),)
        return replace(layer, order=replace(layer.order, fixed=fixed))

    def _plan_layers(self, cell: Cell, fixed: tuple[Entry, ...]) -> tuple[Layer, ...]:
        """Share out what base and shared layers leave; what one layer misses, the next gets."""
        count = cell.layer_count - len(self.base) - len(self._shared)
        total = cell.size.total_bytes - self.base_bytes - sum(map(self._size_of, self._shared))
        orders = [
            replace(self._order, stamp=_stamp(self.study.seed, cell.tag, number))
            for number in range(len(self._shared), len(self._shared) + count)
        ]
        orders[-1] = replace(orders[-1], fixed=fixed)
        layers: list[Layer] = []
        missing = 0
        for order, share in zip(orders, self._share_out(total, orders, cell.tag), strict=True):
            layer = solve_layer(replace(order, target_bytes=share + missing))
            missing += share - self._size_of(layer)
            layers.append(layer)
        return (*self._shared, *layers)

    def _size_of(self, layer: Layer) -> int:
        return layer.compressed_bytes if self.study.is_compressed else layer.uncompressed_bytes

    def _plan_shared(self) -> tuple[Layer, ...]:
        """Plan the layers that all images have in common: as large as in the smallest image."""
        count = self.study.shared_layers
        own = [
            (size.total_bytes - self.base_bytes) // (layers - len(self.base))
            for size, layers in itertools.product(self.study.sizes, self.study.layer_counts)
            if layers > len(self.base) + count
        ]
        if not count or not own:
            return ()
        orders = [
            replace(self._order, stamp=_stamp(self.study.seed, "shared", number))
            for number in range(count)
        ]
        try:
            shares = self._share_out(count * min(own), orders, "shared")
        except LayerTooSmall as exc:
            raise StudyError(
                f"key 'shared_layers': of the smallest image {exc}; "
                "share fewer layers or leave that image out"
            ) from exc
        pairs = zip(orders, shares, strict=True)
        return tuple(solve_layer(replace(order, target_bytes=share)) for order, share in pairs)

    def _share_out(self, total: int, orders: Sequence[LayerOrder], name: str) -> list[int]:
        """Divide bytes among layers, equally or like sampled sizes; none gets too few."""
        known = self.study.layer_sizes_bytes
        weights = [
            known[_hash_number(self.study.seed, name, number) % len(known)] if known else 1
            for number in range(len(orders))
        ]
        weights = weights if any(weights) else [1] * len(weights)
        ends = [total * part // sum(weights) for part in itertools.accumulate(weights)]
        shares = [end - start for start, end in itertools.pairwise([0, *ends])]
        least = [least_bytes(order) for order in orders]
        if sum(least) > total:
            layers = "one layer" if len(orders) == 1 else f"{len(orders)} layers"
            raise LayerTooSmall(
                f"{max(total, 0):,} bytes are too few for {layers}: "
                f"the files need {sum(least):,} bytes"
            )
        return _lift(shares, least)


def _lift(shares: list[int], least: list[int]) -> list[int]:
    """Give each share its least, at the cost of the largest ones; the sum stays."""
    lifted = [max(share, low) for share, low in zip(shares, least, strict=True)]
    excess = sum(lifted) - sum(shares)
    for index in sorted(range(len(lifted)), key=lambda i: (least[i] - lifted[i], i)):
        taken = min(excess, lifted[index] - least[index])
        lifted[index] -= taken
        excess -= taken
    return lifted


def choose_reads(layers: Sequence[Layer], share: float) -> list[ReadStep]:
    """Choose files, in an order fixed by their names, until their bytes are the share."""
    left = round(share * sum(layer.content_bytes for layer in layers))
    if not left:
        return []
    files = [
        (hashlib.sha256(entry.path.encode()).digest(), f"/{entry.path}", entry.size_bytes)
        for layer in layers
        for entry in layer.entries
        if entry.key
    ]
    steps = []
    for _, path, size_bytes in sorted(files):
        if left <= 0:
            break
        steps.append(ReadStep(path, min(left, size_bytes)))
        left -= size_bytes
    return steps


def _stamp(seed: int, name: str, number: int) -> str:
    return f"{number:03d}-{_hash_number(seed, name, number):016x}"


def _hash_number(seed: int, name: str, number: int) -> int:
    digest = hashlib.sha256(f"{seed}/{name}/{number}".encode()).digest()
    return int.from_bytes(digest[:8])


def _whole_blocks(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
