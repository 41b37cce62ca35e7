"""Levels chosen by error and bits: against brute force, the real entropy, and exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesqueeze.numerics.rate_distortion import (
    LARGEST_LEVEL,
    choose_step,
    exact_step,
    level_costs,
    nearest_levels,
    optimal_levels,
    total_bits,
)


def sparse(rows, columns, density, seed=0, spread=0.0):
    """Laplacian weights; with a spread, densities differ from column to column."""
    generator = np.random.default_rng(seed)
    weights = generator.laplace(0, 0.1, (rows, columns))
    likely = density * np.exp(spread * generator.normal(size=columns))
    return np.where(generator.random((rows, columns)) < likely, weights, 0).astype(np.float32)


def cost(weights, levels, step, price):
    return float(((weights - levels * step) ** 2).sum()) + price * total_bits(levels)


@given(step=st.floats(1e-6, 1e3), level=st.integers(-LARGEST_LEVEL, LARGEST_LEVEL))
@settings(max_examples=200)
def test_every_level_of_an_exact_step_is_an_exact_float32(step, level):
    exact = exact_step(step)
    assert abs(exact / step - 1) < 1 / 128
    product = np.float32(level) * np.float32(exact)
    assert Fraction(float(product)) == Fraction(exact) * level


@pytest.mark.parametrize("price", [1e-5, 1e-4, 1e-3])
def test_optimal_levels_cost_less_than_the_nearest(price):
    weights = sparse(60, 90, 0.3)
    best = optimal_levels(weights, 0.05, price)
    assert cost(weights, best, 0.05, price) < cost(weights, nearest_levels(weights, 0.05), 0.05, price)
    assert np.count_nonzero(best) < np.count_nonzero(nearest_levels(weights, 0.05))


def test_a_free_bit_means_the_nearest_level():
    weights = sparse(20, 30, 0.5)
    assert np.array_equal(optimal_levels(weights, 0.05, 0.0), nearest_levels(weights, 0.05))


def test_each_level_is_the_cheapest_for_the_costs_it_was_chosen_by():
    weights, step, price = sparse(6, 8, 0.5, seed=4), 0.05, 2e-4
    levels = optimal_levels(weights, step, price)
    again = optimal_levels(weights, step, price)
    assert np.array_equal(levels, again)
    costs = level_costs(levels)
    odds = costs.row_odds[:, None].astype(float) + costs.column_odds

    def bits(level, place):
        if level == 0:
            return np.logaddexp2(0, odds[place])
        magnitude = abs(level)
        known = costs.magnitudes[min(magnitude, len(costs.magnitudes)) - 1]
        return np.logaddexp2(0, -odds[place]) + 1 + known + max(magnitude - len(costs.magnitudes), 0)

    for place in np.ndindex(*weights.shape):
        nearest = round(abs(float(weights[place])) / step)
        choices = {0, max(nearest - 1, 0), nearest}
        wanted = min(choices, key=lambda k: (abs(weights[place]) - k * step) ** 2 + price * bits(k, place))
        # The last pass may have moved the statistics a little: no choice may be dearer by more than that.
        chosen = abs(int(levels[place]))
        dearer = ((abs(weights[place]) - chosen * step) ** 2 + price * bits(chosen, place)) - (
            (abs(weights[place]) - wanted * step) ** 2 + price * bits(wanted, place)
        )
        assert dearer < 0.5 * price


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_bits_lie_near_the_entropy_and_below_it_where_densities_differ(spread):
    levels = nearest_levels(sparse(300, 400, 0.1, spread=spread), 0.05)
    counts = np.unique(levels, return_counts=True)[1] / levels.size
    entropy = -(counts * np.log2(counts)).sum() * levels.size
    found = total_bits(levels)
    assert 0.7 * entropy < found < 1.02 * entropy
    assert (found < 0.97 * entropy) == (spread > 0)


def test_a_dear_bit_wants_a_coarse_step():
    weights = sparse(200, 100, 0.2)
    steps = [choose_step(weights, 1.0, price) for price in (1e-6, 1e-4, 1e-2)]
    assert steps == sorted(steps)
    assert steps[0] < steps[2]
    assert all(exact_step(step) == step for step in steps)
