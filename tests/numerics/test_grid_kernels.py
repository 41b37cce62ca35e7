"""Compiled kernels against the same in whole-array operations and against differences of the bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgesqueeze.numerics.grid_kernels import CHEAPEST_NONZERO, add_rate_slope, on_grid
from edgesqueeze.numerics.rate_distortion import level_costs

WEIGHTS = arrays.arrays(np.float32, (5, 7), elements=st.floats(-4, 4, width=32))


@given(weights=WEIGHTS, kept=arrays.arrays(np.bool_, (5, 7)), dead_zone=st.sampled_from([0.5, 0.6]))
@settings(max_examples=100)
def test_weights_go_to_the_nearest_level(weights, kept, dead_zone):
    step = np.float32(0.375)
    wanted = np.rint(weights / step)
    wanted[~kept | (np.abs(weights / step) < np.float32(dead_zone))] = 0
    found = on_grid(weights, kept, float(step), dead_zone, float(step))
    assert np.array_equal(found, wanted * step)
    assert not np.signbit(found[found == 0]).any()
    assert np.array_equal(on_grid(weights, kept, float(step), dead_zone, 1.0), wanted)


def rate(weights, costs, step):
    """Bits as the gradient sees them, in float64."""
    scaled = np.abs(weights.astype(np.float64)) / step
    first = np.maximum(costs.nonzero_bits() + costs.magnitudes[0], CHEAPEST_NONZERO)
    return (first * np.minimum(scaled, 1)).sum() + costs.extra_level * np.maximum(scaled - 1, 0).sum()


@pytest.mark.parametrize("density", [0.05, 0.9])
def test_the_slope_is_that_of_the_bits(density):
    generator, step, price = np.random.default_rng(0), 0.25, 3e-3
    weights = generator.laplace(0, 0.3, (6, 9)).astype(np.float32)
    weights[generator.random(weights.shape) > density] = 0
    weights[0, 0] = 0
    costs = level_costs(np.rint(weights / step).astype(np.int32))
    gradient = np.ones_like(weights)
    add_rate_slope(gradient, weights, costs, step, price)
    for place in np.ndindex(*weights.shape):
        if weights[place] == 0:
            assert gradient[place] == 1
            continue
        further, tiny = weights.astype(np.float64), 1e-6
        further[place] += tiny
        slope = (rate(further, costs, step) - rate(weights, costs, step)) / tiny
        assert gradient[place] == pytest.approx(1 + price * slope, rel=1e-4)
