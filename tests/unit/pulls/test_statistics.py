import numpy as np
import pytest
import scipy.stats

from pullstudy.pulls.statistics import (
    Draws,
    draw_nodes,
    expected_extremes,
    median,
    ratio,
    slope,
    standard_deviation,
)

RESAMPLES = 3000


def draws(seconds: np.ndarray, label: str = "a", seed: int = 7) -> Draws:
    return draw_nodes(seconds[:, None], median, RESAMPLES, seed, label)


def test_the_interval_is_the_percentile_bootstrap() -> None:
    """One cell, one value a node: what SciPy computes on the same numbers."""
    random = np.random.default_rng(1)
    slow, fast = random.lognormal(3, 0.3, 25), random.lognormal(2.6, 0.2, 30)
    found = ratio(draws(fast[:, None], "fast"), draws(slow[:, None], "slow"))
    expected = scipy.stats.bootstrap(
        (slow, fast),
        lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis),
        method="percentile",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found.estimate == pytest.approx(np.median(slow) / np.median(fast))
    assert found.low == pytest.approx(expected.low, rel=0.03)
    assert found.high == pytest.approx(expected.high, rel=0.03)


def test_cells_are_averaged_as_ratios() -> None:
    baseline = draws(np.array([[1.0, 10.0, 100.0]] * 3))
    treatment = draws(np.array([[2.0, 80.0, np.nan]] * 3))
    assert ratio(baseline, treatment) == pytest.approx((4.0, 4.0, 4.0))


def test_nodes_and_not_pulls_are_drawn() -> None:
    """Twenty images on four nodes of different speed are four observations, not eighty."""
    speed = np.array([0.8, 0.9, 1.1, 1.3])
    seconds = np.outer(speed, np.full(20, 50.0))
    one = ratio(draws(np.full((4, 1), 50.0), "b"), draws(seconds[:, :1]))
    many = ratio(draws(np.full((4, 20), 50.0), "b"), draws(seconds))
    assert many == pytest.approx(one)
    assert many.high - many.low > 0.3


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    hits = 0
    for trial in range(100):
        a = random.lognormal(3.0, 0.2, (14, 1)) * np.array([1.0, 4.0, 9.0])
        b = random.lognormal(3.0, 0.2, (14, 1)) * np.array([1.2, 4.8, 10.8])
        found = ratio(
            draw_nodes(a[:, None], median, 300, trial, "a"),
            draw_nodes(b[:, None], median, 300, trial, "b"),
        )
        hits += found.low <= 1.2 <= found.high
    assert 0.88 <= hits / 100 <= 0.99


def test_repetitions_of_one_node_are_drawn() -> None:
    """Nodes that share a machine have their luck together: its repetitions tell of chance."""
    luck = np.array([0.7, 0.9, 1.0, 1.2, 1.6])
    one = draw_nodes(luck[None, :, None], median, RESAMPLES, 1, "a")
    again = scipy.stats.bootstrap(
        (luck,), np.median, method="percentile", n_resamples=RESAMPLES, rng=np.random.default_rng(2)
    ).confidence_interval
    assert one.observed == pytest.approx([1.0])
    assert np.quantile(one.drawn, [0.025, 0.975]) == pytest.approx([again.low, again.high])
    eight = draw_nodes(np.tile(luck[:, None], (8, 1, 1)), median, RESAMPLES, 1, "a")
    assert np.quantile(eight.drawn, [0.025, 0.975]) == pytest.approx([again.low, again.high])


def test_one_pull_alone_tells_nothing_of_chance() -> None:
    one = draws(np.array([[2.0]]))
    found = ratio(one, draws(np.array([[1.0], [3.0]])))
    assert found.estimate == pytest.approx(1.0)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_the_same_seed_draws_the_same() -> None:
    seconds = np.random.default_rng(0).random((9, 4))
    assert np.array_equal(draws(seconds).drawn, draws(seconds).drawn)
    assert not np.array_equal(draws(seconds).drawn, draws(seconds, "other").drawn)


def test_spreads_leave_out_draws_of_one_node_alone() -> None:
    found = draw_nodes(np.array([[[1.0]], [[1.0]], [[4.0]]]), standard_deviation, 500, 1, "a")
    assert found.observed == pytest.approx([3**0.5])
    assert set(np.round(found.drawn[~np.isnan(found.drawn)], 9)) == {round(3**0.5, 9)}
    two = draw_nodes(np.array([[[1.0]], [[3.0]]]), standard_deviation, 5, 1, "a")
    assert np.isnan(two.observed).all()


def test_a_line_with_its_interval() -> None:
    random = np.random.default_rng(3)
    layers = np.array([*range(1, 15), 25, 50, 75, 100], dtype=float)
    seconds = 0.9 + 0.035 * layers + random.normal(0, 0.05, len(layers))
    found, intercept = slope(layers, seconds, RESAMPLES, 1)
    line = scipy.stats.linregress(layers, seconds)
    assert (found.estimate, intercept) == pytest.approx((line.slope, line.intercept))
    assert found.low < 0.035 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * line.stderr, rel=0.35)


@pytest.mark.parametrize("count", [1, 2, 6, 62])
def test_extremes_of_draws_from_a_pool(count: int) -> None:
    random = np.random.default_rng(4)
    pool = random.lognormal(0, 0.1, 40)
    drawn = random.choice(pool, size=(200_000, count))
    low, high = expected_extremes(pool, count)
    assert low == pytest.approx(drawn.min(axis=1).mean(), rel=2e-3)
    assert high == pytest.approx(drawn.max(axis=1).mean(), rel=2e-3)
