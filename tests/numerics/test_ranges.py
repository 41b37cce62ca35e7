import numpy as np
import pytest

from edgesqueeze.numerics.ranges import Histogram, entropy_range, mse_range, mse_scales, percentile_range


def histogram(values):
    low, high = float(values.min()), float(values.max())
    return Histogram(np.histogram(values, 2048, (low, high))[0].astype(float), low, high)


def error(values, low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    zero = np.rint(-low / step)
    rounded = (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step
    return float(((rounded - values) ** 2).mean())


def with_outliers(seed, *, one_sided):
    """A bell of a million values and one far away."""
    values = np.random.default_rng(seed).normal(size=1_000_000)
    values[0] = 14
    return np.abs(values) if one_sided else values


METHODS = {
    "percentile": lambda h: percentile_range(h, 99.99),
    "entropy": entropy_range,
    "mse": mse_range,
}


@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_on_the_bulk_of_values_with_outliers_every_method_beats_min_max(name, one_sided):
    values = with_outliers(1, one_sided=one_sided)
    low, high = METHODS[name](histogram(values))
    assert values.min() - 1e-6 <= low < high < values.max()
    bulk = values[values < 6]
    assert error(bulk, low, high) < 0.5 * error(bulk, values.min(), values.max())


@pytest.mark.parametrize("one_sided", [True, False])
def test_the_mse_range_has_the_smallest_error_over_all_values(one_sided):
    values = np.random.default_rng(2).laplace(size=300_000)
    values = np.abs(values) if one_sided else values
    found = error(values, *mse_range(histogram(values)))
    assert found < 0.9 * error(values, values.min(), values.max())
    for factor in np.linspace(0.1, 1, 19):
        assert found <= 1.02 * error(values, values.min() * factor, values.max() * factor)


def test_a_percentile_leaves_out_its_share_at_each_end():
    values = np.random.default_rng(3).uniform(-1, 3, 400_000)
    low, high = percentile_range(histogram(values), 99)
    assert (values < low).mean() == pytest.approx(0.01, abs=0.001)
    assert (values > high).mean() == pytest.approx(0.01, abs=0.001)
    assert percentile_range(histogram(values), 100) == (values.min(), values.max())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [0.0, 2.5, -1.5])
def test_a_tensor_of_one_value_keeps_it_in_range(name, value):
    counts = np.zeros(2048)
    counts[0] = 100
    low, high = METHODS[name](Histogram(counts, value, value))
    assert min(low, 0) <= value <= max(high, 0)
    assert np.isfinite([low, high]).all()


@pytest.mark.parametrize("name", METHODS)
def test_evenly_spread_values_lose_next_to_nothing(name):
    values = np.random.default_rng(4).uniform(0, 1, 100_000)
    assert error(values, *METHODS[name](histogram(values))) < 1.6 * error(values, 0, 1)


def test_entropy_of_values_below_zero_mirrors_that_of_values_above():
    values = with_outliers(5, one_sided=True)
    low, high = entropy_range(histogram(values))
    mirrored = entropy_range(histogram(-values))
    assert mirrored == pytest.approx((-high, -low), abs=0.02)


def test_mse_scales_beat_min_max_where_a_channel_has_an_outlier():
    weight = np.random.default_rng(6).normal(size=(3, 100_000))
    weight[0, 0], weight[2] = 8.0, 0.0
    scales = mse_scales(weight)
    full = np.abs(weight).max(axis=1) / 127

    def errors(scale):
        grid = np.where(scale > 0, scale, 1)[:, None]
        return ((np.clip(np.rint(weight / grid), -127, 127) * grid - weight) ** 2).sum(axis=1)

    assert errors(scales)[0] < 0.8 * errors(full)[0]
    assert (errors(scales) <= errors(full)).all()
    assert scales[2] == 0
