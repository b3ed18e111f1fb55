"""What a way of building a set of images costs the node that runs them one after the other.

A layer that the node already has is not pulled again. What it has depends on its cache:

- `all`: nothing is removed. The total is the bytes of the distinct layers in every order; the
  order decides how early they are pulled. Measure: the sum over all images of the bytes pulled
  until they run, which is what jobs that wait for their image see.
- `previous`: once an image has been pulled, only its layers stay: an image garbage collection
  between the runs. The order decides the total, which is the measure.
- `nothing`: the cache is emptied before each pull (a new node each time); the total is the bytes
  of all images in every order. Measure as for `all`.

The best order has the lowest measure and the worst the highest, over all n! orders, exactly: by
dynamic programming over the 2**n subsets of images (Held and Karp, 1962).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pullstudy.errors import ConfigError, EmptyCorpus
from pullstudy.similarity.jaccard import DigestSets, make_digest_sets
from pullstudy.tables import write_table

CACHES = ("all", "previous", "nothing")
# Subsets of more images than this take too long to go through.
MOST_IMAGES = 14

# What an image adds to the measure, given the set of those before it (a bit mask) and the last one.
Cost = Callable[[int, int, int], int]
Choice = Callable[[Iterable[tuple[int, int]]], tuple[int, int]]


class ContainerSet(NamedTuple):
    """The images of one set, (name, tag) each, with the layers of each as {digest: bytes}.

    layer_rows counts the layers of the manifests, where an image may have a digest twice.
    """

    name: str
    images: list[tuple[str, str]]
    layers: list[dict[str, int]]
    layer_rows: int

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each distinct digest of the set."""
        return {digest: size for image in self.layers for digest, size in image.items()}


def read_container_sets(path: Path) -> list[ContainerSet]:
    """Read table `container_sets`, in its order. Raises EmptyCorpus when it has no row."""
    rows = pq.read_table(path).to_pylist()
    if not rows:
        raise EmptyCorpus(f"{path}: there is no container set in it")
    found: dict[str, dict[tuple[str, str], list[tuple[str, int]]]] = {}
    for row in rows:
        image = found.setdefault(row["set_name"], {}).setdefault((row["name"], row["tag"]), [])
        image.append((row["digest"], row["size_bytes"]))
    return [
        ContainerSet(
            name, list(images), [dict(image) for image in images.values()],
            sum(map(len, images.values())),
        )
        for name, images in found.items()
    ]  # fmt: skip


def digest_sets_of(container_set: ContainerSet) -> DigestSets:
    """Return the digest sets of the images, to compare them by `jaccard`."""
    owners: list[str] = []
    digests: list[str] = []
    for (name, tag), layers in zip(container_set.images, container_set.layers, strict=True):
        owners += [f"{name}:{tag}"] * len(layers)
        digests += layers
    return make_digest_sets(pa.chunked_array([owners]), pa.chunked_array([digests]))


def write_build_strategies(sets: list[ContainerSet], path: Path) -> None:
    """Write what the images of each set share as table `build_strategies`."""
    rows = [_summarise_set(container_set) for container_set in sets]
    write_table("build_strategies", path, {key: [row[key] for row in rows] for key in rows[0]})


def write_pull_orders(sets: list[ContainerSet], path: Path) -> None:
    """Write the best and the worst order of each set under each cache as table `pull_orders`.

    Raises ConfigError for a set of more than MOST_IMAGES images.
    """
    rows = [row for container_set in sets for row in _order_rows(container_set)]
    write_table("pull_orders", path, {key: [row[key] for row in rows] for key in rows[0]})


def pulled_bytes(container_set: ContainerSet, order: list[int], cache: str) -> list[int]:
    """Return the bytes pulled for each image, run in this order with this cache."""
    present: set[str] = set()
    pulled = []
    for image in order:
        layers = container_set.layers[image]
        if cache == "nothing":
            present = set()
        pulled.append(sum(size for digest, size in layers.items() if digest not in present))
        present = set(layers) if cache == "previous" else present | set(layers)
    return pulled


def find_orders(container_set: ContainerSet, cache: str) -> tuple[list[int], list[int]]:
    """Return the best and the worst order of the images, as positions in the set.

    Raises ConfigError for an unknown cache or more than MOST_IMAGES images.
    """
    count = len(container_set.images)
    if cache not in CACHES:
        raise ConfigError(f"cache {cache!r}: choose one of {', '.join(CACHES)}")
    if count > MOST_IMAGES:
        raise ConfigError(
            f"container set {container_set.name}: the orders of {count} images cannot all be"
            f" compared; leave out some, {MOST_IMAGES} are possible"
        )
    if cache == "previous":
        cost = _measure_pulled(container_set)
    else:
        cost = _measure_waiting(container_set, shared=cache == "all")
    return _find_order(count, cost, min), _find_order(count, cost, max)


def _summarise_set(container_set: ContainerSet) -> dict[str, Any]:
    sizes = container_set.sizes
    image_layers = sum(map(len, container_set.layers))
    image_bytes = sum(sum(layers.values()) for layers in container_set.layers)
    return {
        "set_name": container_set.name,
        "layer_rows": container_set.layer_rows,
        "image_layers": image_layers,
        "images": len(container_set.images),
        "digests": len(sizes),
        "image_bytes": image_bytes,
        "distinct_bytes": sum(sizes.values()),
        "unique_share_as_published": len(sizes) / container_set.layer_rows,
        "unique_share": len(sizes) / image_layers,
        "unique_bytes_share": sum(sizes.values()) / image_bytes,
    }


def _order_rows(container_set: ContainerSet) -> Iterator[dict[str, Any]]:
    for cache in CACHES:
        for label, order in zip(("best", "worst"), find_orders(container_set, cache), strict=True):
            pulled = pulled_bytes(container_set, order, cache)
            for position, (image, size, total) in enumerate(
                zip(order, pulled, np.cumsum(pulled), strict=True), start=1
            ):
                name, tag = container_set.images[image]
                yield {
                    "set_name": container_set.name,
                    "cache": cache,
                    "order": label,
                    "position": position,
                    "name": name,
                    "tag": tag,
                    "pulled_bytes": size,
                    "cumulative_bytes": int(total),
                }


def _measure_pulled(container_set: ContainerSet) -> Cost:
    """Count the bytes to pull an image when only the layers of the one before are there."""
    count = len(container_set.images)
    first = [pulled_bytes(container_set, [image], "previous")[0] for image in range(count)]
    after = [
        [pulled_bytes(container_set, [before, image], "previous")[1] for image in range(count)]
        for before in range(count)
    ]
    return lambda done, before, image: after[before][image] if done else first[image]


def _measure_waiting(container_set: ContainerSet, *, shared: bool) -> Cost:
    """Count all bytes pulled until an image runs: those of it and of the images before it."""
    masks: dict[str, int] = {}
    for image, layers in enumerate(container_set.layers):
        for digest in layers:
            masks[digest] = masks.get(digest, 0) | 1 << image
    subsets = np.arange(1 << len(container_set.images))
    pulled = np.zeros(len(subsets), np.int64)
    for digest, size in container_set.sizes.items():
        holders = np.bitwise_count(subsets & masks[digest]).astype(np.int64)
        pulled += size * (holders > 0 if shared else holders)
    totals = pulled.tolist()
    return lambda done, before, image: totals[done | 1 << image]


def _find_order(count: int, cost: Cost, choose: Choice) -> list[int]:
    """Find the order with the least (min) or highest (max) sum of costs.

    best[done][last]: that sum for the images in the bit mask `done`, `last` of them being the
    last, with the image before it.
    """
    best: list[dict[int, tuple[int, int]]] = [{} for _ in range(1 << count)]
    for image in range(count):
        best[1 << image][image] = cost(0, -1, image), -1
    for done in range(1, 1 << count):
        for image in range(count):
            if done >> image & 1 and done != 1 << image:
                rest = done ^ 1 << image
                best[done][image] = choose(
                    (total + cost(rest, before, image), before)
                    for before, (total, _) in best[rest].items()
                )
    done = (1 << count) - 1
    last = choose((total, image) for image, (total, _) in best[done].items())[1]
    order = []
    while last >= 0:
        order.append(last)
        done, last = done ^ 1 << last, best[done][last][1]
    return order[::-1]
