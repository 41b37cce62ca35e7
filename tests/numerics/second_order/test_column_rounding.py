"""Rounding by columns: the rule as it is written in the papers, and what it is worth."""

import numpy as np
import pytest

from edgesqueeze.numerics.rate_distortion import level_costs, optimal_levels, total_bits
from edgesqueeze.numerics.second_order.column_rounding import Bits, Layer, round_columns
from edgesqueeze.numerics.second_order.moments import carry_of

STEP = 0.25


def correlated(rng, groups, columns):
    """Second moments of inputs of which neighbours hang together, [groups, columns, columns]."""
    inputs = rng.normal(size=(groups, columns, 4 * columns)).cumsum(1)
    return inputs @ inputs.mT / inputs.shape[-1] + 0.1 * np.eye(columns)


def free(layer):
    return Bits(np.zeros(layer.aim.shape, np.float32), np.zeros(1, np.float32))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def layer_of(rng, groups, rows, columns, moments):
    aim = rng.laplace(0, 0.4, (groups, rows, columns))
    importance = rng.uniform(0.5, 2, (groups, rows))
    return Layer(aim, carry_of(moments), importance, rng.random(aim.shape) < 0.9)


@pytest.mark.parametrize(("groups", "rows", "columns"), [(3, 4, 9), (1, 5, 150)])
def test_it_is_the_rule_of_optimal_brain_surgeon(groups, rows, columns, rng):
    moments = correlated(rng, groups, columns)
    layer = layer_of(rng, groups, rows, columns, moments)
    levels, loss = round_columns(layer, STEP, 0.0, free(layer))
    for group in range(groups):
        inverse, rest = np.linalg.inv(moments[group]), layer.aim[group].copy()
        for column in range(columns):
            nearest = np.rint(rest[:, column] / STEP) * layer.movable[group, :, column]
            assert np.array_equal(levels[group, :, column], nearest.astype(int))
            error = (rest[:, column] - nearest * STEP) / inverse[column, column]
            rest -= np.outer(error, inverse[column])
            inverse -= np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    off = layer.aim - levels * STEP
    direct = (layer.importance * ((off @ moments) * off).sum(-1)).sum() / 2
    assert loss == pytest.approx(direct)


def test_less_loss_than_rounding_each_weight_for_itself_at_the_same_price(rng):
    """Both pay the same statistical costs; the other knows of inputs only how much they vary."""
    moments = correlated(rng, 1, 100)
    aim = rng.laplace(0, 0.4, (1, 40, 100))
    ones = np.ones((1, 40))
    layer = Layer(aim, carry_of(moments), ones, np.ones(aim.shape, bool))
    variance = float(np.diagonal(moments[0]).mean())

    def outcome(levels):
        off = aim[0] - levels * STEP
        return float(((off @ moments[0]) * off).sum()) / 2, total_bits(levels)

    alone = optimal_levels(aim[0].astype(np.float32), STEP, 0.3 / (variance / 2))
    costs = level_costs(alone)
    bits = Bits((costs.nonzero_bits() + costs.magnitudes[0])[None], costs.magnitudes - costs.magnitudes[0])
    prices = np.geomspace(1e-3, 1.0, 25)
    found = [outcome(round_columns(layer, STEP, price, bits)[0][0]) for price in prices]
    loss, size = outcome(alone)
    as_small = [other for other, other_size in found if other_size <= size]
    assert min(as_small) < 0.5 * loss


def test_a_higher_price_asks_fewer_bits(rng):
    layer = layer_of(rng, 1, 30, 60, correlated(rng, 1, 60))
    bits = Bits(np.full(layer.aim.shape, 4, np.float32), np.array([0, 1, 2], np.float32))
    sizes = [total_bits(round_columns(layer, STEP, price, bits)[0][0]) for price in (0.0, 0.01, 0.1)]
    assert sizes[0] > sizes[1] > sizes[2]
    assert not round_columns(layer, STEP, 1e9, bits)[0].any()


def test_single_precision_finds_nearly_the_same(rng):
    layer = layer_of(rng, 1, 10, 80, correlated(rng, 1, 80))
    single = Layer(*(part.astype("f4") for part in (layer.aim, layer.carry, layer.importance)), layer.movable)
    losses = [round_columns(one, STEP, 0.0, free(layer))[1] for one in (layer, single)]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
