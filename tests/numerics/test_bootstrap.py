"""The bootstrap: by hand, against scipy's, and by simulation: does the interval cover, is the p-value uniform?"""

import numpy as np
import pytest
from scipy.stats import bootstrap

from edgesqueeze.numerics.bootstrap import (
    RESAMPLES,
    bootstrap_interval,
    draws_of,
    images_to_see,
    paired_bootstrap,
    resamples,
    visible_change,
)

RNG = np.random.default_rng(0)
RUNS, IMAGES = 200, 60
WEIGHTS = np.stack(list(resamples(IMAGES)))


def mean_of(values):
    return lambda weights: float(weights @ values / weights.sum())


def test_every_draw_has_as_many_images_and_is_always_the_same():
    drawn = np.stack(list(resamples(50, count=400)))
    assert drawn.shape == (400, 50)
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(50), abs=0.25)
    assert drawn.var() == pytest.approx(49 / 50, abs=0.05)  # of a binomial of 50 draws
    assert drawn[0, :12].tolist() == [1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0]  # with any version of numpy
    assert np.array_equal(drawn, np.stack(list(resamples(50, count=400))))
    assert not np.array_equal(drawn[0], next(resamples(50, seed=7)))


def test_the_interval_is_scipys():
    values = RNG.exponential(size=80)
    found = bootstrap_interval(draws_of(mean_of(values), 80), values.mean())
    options = {"method": "BCa", "n_resamples": 4000, "rng": 0}  # with acceleration, which a mean hardly needs
    expected = bootstrap((values,), np.mean, **options).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.05)
    assert found.resamples == RESAMPLES
    assert found.low < values.mean() < found.high


def test_the_interval_covers_the_truth_19_times_of_20():
    samples = RNG.normal(3.0, 1.0, (RUNS, IMAGES))
    roots = np.sqrt(samples**2 @ WEIGHTS.T / IMAGES)  # a metric that is no mean: [runs, draws]
    truth = np.sqrt(3.0**2 + 1.0)
    values = np.sqrt((samples**2).mean(axis=1))
    found = [bootstrap_interval(*row) for row in zip(roots, values, strict=True)]
    covered = sum(interval.low <= truth <= interval.high for interval in found)
    assert 0.90 <= covered / RUNS <= 0.985


def test_a_bias_of_the_draws_is_corrected():
    # The variance of so few draws is too small, and that of their draws even smaller.
    samples = RNG.normal(0, 1, (RUNS, 15))
    weights = np.stack(list(resamples(15)))
    means = samples @ weights.T / 15
    draws = samples**2 @ weights.T / 15 - means**2
    values = samples.var(axis=1)
    corrected = [bootstrap_interval(*row) for row in zip(draws, values, strict=True)]
    covered = np.mean([interval.low <= 1 <= interval.high for interval in corrected])
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    assert covered > np.mean((low <= 1) & (high >= 1))
    assert np.mean([interval.high for interval in corrected]) > high.mean()


def p_values(shift):
    """Of two models whose errors have one image in common, the second worse by a shift: one p-value a run."""
    image = RNG.normal(0, 2, (RUNS, IMAGES))
    one, other = (np.abs(image + RNG.normal(0, 1, image.shape)) for _ in range(2))
    other = other + shift
    draws = [values @ WEIGHTS.T / IMAGES for values in (one, other)]
    changes = other.mean(axis=1) - one.mean(axis=1)
    tests = [paired_bootstrap(*row, change) for *row, change in zip(*draws, changes, strict=True)]
    return np.array([test.p_value for test in tests])


def test_without_a_difference_the_p_value_is_uniform():
    found = p_values(0.0)
    for level in (0.05, 0.25, 0.5, 0.75):
        assert (found <= level).mean() == pytest.approx(level, abs=2.5 * np.sqrt(level * (1 - level) / RUNS))


def test_a_difference_is_seen():
    assert (p_values(0.5) < 0.05).mean() > 0.8


def test_equal_models_do_not_differ():
    draws = draws_of(mean_of(RNG.random(40)), 40)
    test = paired_bootstrap(draws, draws, 0.0)
    assert (test.change, test.standard_error, test.low, test.high, test.p_value) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert visible_change(test) == 0.0
    assert images_to_see(test, 40, 0.0) is None


def test_the_test_of_a_mean_is_that_of_its_standard_error():
    one, other = RNG.random((2, 200))
    draws = [draws_of(mean_of(values), 200) for values in (one, other)]
    change = float((other - one).mean())
    test = paired_bootstrap(*draws, change)
    assert test.standard_error == pytest.approx((other - one).std() / np.sqrt(200), rel=0.1)
    assert test.low < change < test.high
    wanted = images_to_see(test, 200, change)
    assert wanted == pytest.approx(200 * (1.96 * test.standard_error / change) ** 2, rel=0.01)


def test_a_metric_that_is_mostly_undefined_has_neither():
    draws = np.full(100, 0.5)
    draws[:5] = np.nan
    assert bootstrap_interval(draws, 0.5).resamples == 95
    assert paired_bootstrap(draws, draws, 0.0).resamples == 95
    draws[:15] = np.nan
    assert bootstrap_interval(draws, 0.5) is None
    assert bootstrap_interval(np.full(100, 0.5), float("nan")) is None
    assert paired_bootstrap(draws, np.full(100, 0.5), 0.1) is None
    assert paired_bootstrap(np.full(100, 0.5), np.full(100, 0.5), float("nan")) is None
