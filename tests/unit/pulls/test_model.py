"""The model's kernel against a clock that ticks, and against what must hold for any cluster."""

import numpy as np
import pytest

from pullstudy.pulls.calibration import Parameters
from pullstudy.pulls.model import Hosts, Image, Network, simulate, split_evenly

MEGABYTE = 1e6
PARAMETERS = Parameters(
    base_seconds=0.2,
    layer_seconds=0.03,
    download_seconds_per_gigabyte=0.0,
    knee_gigabytes=0.25,
    unpack_seconds_per_gigabyte=2.0,
    flush_seconds_per_gigabyte=4.0,
)


def median_hosts(count: int) -> Hosts:
    return Hosts(np.ones(count), np.ones(count))


def tick(
    image: Image, parameters: Parameters, network: Network, hosts: Hosts, started: np.ndarray
) -> np.ndarray:
    """Simulate by small steps of time: nodes share the egress, layers share their node's part."""
    step, now = 2e-4, 0.0
    nodes = range(len(started))
    left = [image.wire_bytes.copy() for _ in nodes]
    arrived = [np.full(len(image.wire_bytes), np.inf) for _ in nodes]
    while any(np.isinf(times).any() for times in arrived):
        now += step
        under_way = []
        for node in nodes:
            if now > started[node] + parameters.base_seconds:
                layers = np.flatnonzero(left[node] > 0)[: network.parallel_downloads]
                if len(layers):
                    under_way.append((node, layers))
        for node, layers in under_way:
            rate = min(
                network.node_bytes_per_second, network.egress_bytes_per_second / len(under_way)
            )
            left[node][layers] -= rate * step / len(layers)
            arrived[node][layers[left[node][layers] <= 0]] = now
    ends = []
    for node in nodes:
        end, written = started[node] + parameters.base_seconds, 0.0
        for layer, size in enumerate(image.content_bytes / 1e9):
            rounds = 1 + layer // network.parallel_downloads
            end = max(end, arrived[node][layer] + rounds * network.request_seconds)
            beyond = max(0.0, written + size - max(written, parameters.knee_gigabytes))
            end += parameters.layer_seconds
            end += size * parameters.unpack_seconds_per_gigabyte * hosts.unpack[node]
            end += beyond * parameters.flush_seconds_per_gigabyte * hosts.flush[node]
            written += size
        ends.append(end)
    return np.array(ends)


@pytest.mark.parametrize("seed", range(6))
def test_the_kernel_agrees_with_a_ticking_clock(seed: int) -> None:
    random = np.random.default_rng(seed)
    nodes, layers = int(random.integers(2, 6)), int(random.integers(1, 8))
    image = Image(
        "a", random.uniform(1, 40, layers) * MEGABYTE, random.uniform(5, 120, layers) * MEGABYTE
    )
    network = Network(
        node_bytes_per_second=random.uniform(50, 150) * MEGABYTE,
        egress_bytes_per_second=random.uniform(60, 400) * MEGABYTE,
        request_seconds=float(random.uniform(0, 0.02)),
        parallel_downloads=int(random.integers(1, 4)),
    )
    hosts = Hosts(random.uniform(0.5, 2, nodes), random.uniform(0.5, 2, nodes))
    started = random.uniform(0, 1.0, nodes)
    ended = simulate(image, PARAMETERS, network, hosts, started).ended
    expected = tick(image, PARAMETERS, network, hosts, started)
    assert ended == pytest.approx(expected, abs=0.01 * expected.max())


def test_without_a_limit_the_network_costs_nothing() -> None:
    image = split_evenly("a", 9, 300 * MEGABYTE, 900 * MEGABYTE)
    started = np.array([0.0, 3.0])
    pulled = simulate(image, PARAMETERS, Network(), median_hosts(2), started)
    expected = float(PARAMETERS.predict(np.array(9.0), np.array(0.9), np.array(0.3)))
    assert pulled.ended - started == pytest.approx([expected, expected])


def test_a_measured_download_rate_is_kept() -> None:
    image = split_evenly("a", 1, 500 * MEGABYTE, 0.0)
    slow = PARAMETERS._replace(download_seconds_per_gigabyte=10.0, layer_seconds=0.0)
    ended = simulate(image, slow, Network(), median_hosts(1), np.zeros(1)).ended
    assert ended == pytest.approx([0.2 + 5.0])


def test_nodes_cannot_draw_more_than_the_egress() -> None:
    nodes, egress = 200, 100 * MEGABYTE
    image = split_evenly("a", 4, 10 * MEGABYTE, 0.0)
    network = Network(1e9, egress)
    started = np.random.default_rng(1).uniform(0, 2, nodes)
    pulled = simulate(image, PARAMETERS, network, median_hosts(nodes), started)
    ended = np.sort(pulled.downloaded) - started.min() - PARAMETERS.base_seconds
    served = np.arange(1, nodes + 1) * 10 * MEGABYTE
    assert (served <= egress * ended * (1 + 1e-9)).all()
    # The registry is never idle: the last node ends when all bytes have gone through.
    assert ended[-1] == pytest.approx(nodes * 10 * MEGABYTE / egress, rel=0.01)


def test_the_order_of_nodes_does_not_matter() -> None:
    random = np.random.default_rng(2)
    image = split_evenly("a", 9, 100 * MEGABYTE, 900 * MEGABYTE)
    started, order = random.uniform(0, 3, 50), random.permutation(50)
    hosts = Hosts(random.uniform(0.9, 1.1, 50), random.uniform(0.5, 2, 50))
    network = Network(1e9, 2e9)
    one = simulate(image, PARAMETERS, network, hosts, started).ended
    shuffled = Hosts(hosts.unpack[order], hosts.flush[order])
    other = simulate(image, PARAMETERS, network, shuffled, started[order]).ended
    assert other == pytest.approx(one[order])


def test_unpacking_waits_for_the_layer_before() -> None:
    """A large first layer holds up small ones that arrived long before it."""
    image = Image("a", np.array([90.0, 1, 1, 1]) * MEGABYTE, np.zeros(4))
    network = Network(10 * MEGABYTE)
    pulled = simulate(image, PARAMETERS, network, median_hosts(1), np.zeros(1))
    assert pulled.ended[0] == pytest.approx(0.2 + 9.3 + 4 * 0.03)
