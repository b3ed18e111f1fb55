"""Simulate a cluster that pulls an image: the events of every layer on every node.

What a node does, as containerd 1.7 does it: after a fixed overhead it downloads layers, at most
`parallel_downloads` at a time; it unpacks them one by one in their order, each as soon as it is
there and the one before is done; bytes beyond what the page cache takes wait for the disk. Nodes
share the registry's egress fairly, and none gets more than its own bandwidth.

All nodes that pull at a moment get the same rate, so that downloads end in the order in which they
began: the clock of transferred bytes (virtual time of processor sharing) is one for all nodes, and
each layer's events are computed for all nodes at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pullstudy.pulls.calibration import Parameters

_GIGABYTE = 1e9
# Between two busy times the clock of transferred bytes moves a little, so that it tells them apart.
_GAP_BYTES = 1.0
PARALLEL_DOWNLOADS = 3  # containerd: max_concurrent_downloads


class Image(NamedTuple):
    """An image as its layers: bytes on the wire and bytes to unpack, (layers,) each."""

    name: str
    wire_bytes: np.ndarray
    content_bytes: np.ndarray


class Network(NamedTuple):
    """What limits the transfer; infinite: it limits nothing."""

    node_bytes_per_second: float = np.inf
    egress_bytes_per_second: float = np.inf
    request_seconds: float = 0.0
    parallel_downloads: int = PARALLEL_DOWNLOADS


class Hosts(NamedTuple):
    """Factors of the nodes, (nodes,) each: 1 is the median host."""

    unpack: np.ndarray
    flush: np.ndarray


class Pulled(NamedTuple):
    """Seconds since the first start, (nodes,) each."""

    started: np.ndarray
    downloaded: np.ndarray
    ended: np.ndarray


def simulate(
    image: Image, parameters: Parameters, network: Network, hosts: Hosts, started: np.ndarray
) -> Pulled:
    """Simulate one image on all nodes. started: (nodes,) seconds, in any order."""
    order = np.argsort(started, kind="stable")
    ready = started[order] + parameters.base_seconds
    arrived = _arrivals(image, network, parameters, ready)
    unpack, flush = hosts.unpack[order], hosts.flush[order]
    content = image.content_bytes / _GIGABYTE
    beyond = np.diff(np.maximum(0.0, np.cumsum(content) - parameters.knee_gigabytes), prepend=0.0)
    ended = ready.copy()
    for layer in range(len(content)):
        np.maximum(ended, arrived[layer], out=ended)
        ended += parameters.layer_seconds
        ended += unpack * (parameters.unpack_seconds_per_gigabyte * content[layer])
        if beyond[layer]:
            ended += flush * (parameters.flush_seconds_per_gigabyte * beyond[layer])
    back = np.argsort(order, kind="stable")
    return Pulled(started, arrived.max(axis=0)[back], ended[back])


def split_evenly(name: str, layers: int, wire_bytes: float, content_bytes: float) -> Image:
    """Make an image of equal layers."""
    return Image(
        name, np.full(layers, wire_bytes / layers), np.full(layers, content_bytes / layers)
    )


def _arrivals(
    image: Image, network: Network, parameters: Parameters, ready: np.ndarray
) -> np.ndarray:
    """Return when each layer has arrived, (layers, nodes); nodes in the order of `ready`."""
    cap = network.node_bytes_per_second
    if parameters.download_seconds_per_gigabyte > 0:
        cap = min(cap, _GIGABYTE / parameters.download_seconds_per_gigabyte)
    transferred = _bytes_until_each_layer(image.wire_bytes, network.parallel_downloads)
    rounds = 1 + np.arange(len(transferred)) // network.parallel_downloads
    waiting = network.request_seconds * rounds[:, None]
    if np.isinf(network.egress_bytes_per_second):
        seconds = np.zeros(len(transferred)) if np.isinf(cap) else transferred / cap
        return np.asarray(ready + seconds[:, None] + waiting)
    times, clock, begun = _share(ready, transferred.max(), cap, network.egress_bytes_per_second)
    return np.asarray(np.interp(begun + transferred[:, None], clock, times) + waiting)


def _bytes_until_each_layer(sizes: np.ndarray, parallel: int) -> np.ndarray:
    """Return how many bytes of the image a node has when each layer is whole.

    Layers start in order as soon as a slot is free, and those under way share the node's rate.
    """
    left: dict[int, float] = {}
    following, total = 0, 0.0
    whole = np.zeros(len(sizes))
    while following < len(sizes) or left:
        while following < len(sizes) and len(left) < parallel:
            left[following] = float(sizes[following])
            following += 1
        step = min(left.values())
        total += step * len(left)
        for layer in list(left):
            left[layer] -= step
            if left[layer] <= 0:
                whole[layer] = total
                del left[layer]
    return whole


def _share(
    ready: np.ndarray, size: float, cap: float, egress: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let downloads of equal size share the egress, from the times they are `ready` (ascending).

    Returns knots (time, bytes per active download) of the shared clock, and where on that clock
    each download began.
    """
    starts = ready.tolist()
    count = len(starts)
    begun = [0.0] * count
    times, clock = [starts[0]], [0.0]
    now, transferred, first, last = starts[0], 0.0, 0, 0
    while first < count:
        active = last - first
        if not active:
            transferred += _GAP_BYTES
        rate = min(cap, egress / active) if active else 0.0
        next_start = starts[last] if last < count else np.inf
        next_end = now + (begun[first] + size - transferred) / rate if active else np.inf
        step_end = min(next_start, next_end)
        transferred += rate * (step_end - now)
        now = step_end
        if next_end <= next_start:
            transferred = begun[first] + size
            first += 1
        else:
            begun[last] = transferred
            last += 1
        times.append(now)
        clock.append(transferred)
    return np.array(times), np.array(clock), np.array(begun)
