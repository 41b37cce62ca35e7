"""A layer's step and levels: against the bytes that come out."""

import numpy as np
import pytest

from edgesqueeze.coding.rounding import coder_bits, round_layer
from edgesqueeze.coding.symbols import price_candidates
from edgesqueeze.coding.weight_tensor import encode_weights
from edgesqueeze.numerics.rate_distortion import choose_step, exact_step, optimal_levels
from edgesqueeze.numerics.second_order.column_rounding import Layer
from edgesqueeze.numerics.second_order.moments import carry_of
from edgesqueeze.numerics.second_order.parts import Parts

SHAPE = (40, 3, 5, 5)
PARTS = Parts(SHAPE)


@pytest.fixture(scope="module")
def moments():
    inputs = np.random.default_rng(0).normal(size=(1, 75, 300)).cumsum(1) / 8
    return inputs @ inputs.mT / 300 + 0.05 * np.eye(75)


@pytest.fixture(scope="module")
def layer(moments):
    """Laplacian weights, with columns of very different sizes."""
    rng = np.random.default_rng(1)
    weight = rng.laplace(0, 0.1, SHAPE) * np.exp(rng.normal(size=(1, *SHAPE[1:])))
    return Layer(PARTS.split(weight), carry_of(moments), np.ones((1, 40)), np.ones((1, 40, 75), bool))


def loss_of(layer, moments, weight):
    off = layer.aim - PARTS.split(weight)
    return float(((off @ moments) * off).sum()) / 2


def bytes_of(levels, step):
    return len(encode_weights(levels.astype(np.float32) * np.float32(step)))


@pytest.mark.parametrize("price", [1e-4, 1e-2])
def test_less_loss_and_price_than_each_weight_for_itself(price, layer, moments):
    """The other has the step and the levels of least squared error + price · bits, by the inputs' variance."""
    sensitivity = float(np.diagonal(moments[0]).mean()) / 2
    weight = PARTS.join(layer.aim).reshape(40, -1).astype(np.float32)
    step = choose_step(weight, sensitivity, price)
    alone = optimal_levels(weight, step, price / sensitivity).reshape(SHAPE)
    found = round_layer(layer, price, PARTS)
    assert exact_step(found.step) == found.step
    costs = [
        loss_of(layer, moments, levels * step) + price * 8 * bytes_of(levels, step)
        for levels, step in ((found.levels, found.step), (alone, step))
    ]
    assert costs[0] < 0.85 * costs[1]


def test_a_higher_price_asks_fewer_bytes(layer):
    found = [round_layer(layer, price, PARTS) for price in (1e-5, 1e-3, 1e-1)]
    sizes = [bytes_of(one.levels, one.step) for one in found]
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2]


def test_what_may_not_move_stays_zero(layer):
    movable = np.random.default_rng(2).random(layer.movable.shape) < 0.5
    found = round_layer(Layer(layer.aim, layer.carry, layer.importance, movable), 1e-4, PARTS)
    levels = PARTS.split(found.levels)
    assert not levels[~movable].any()
    assert levels[movable].any()


def test_the_bits_of_a_weight_that_is_not_zero_are_the_coder_s():
    levels = np.random.default_rng(3).integers(-1, 2, SHAPE).astype(np.int32)
    parts = Parts(SHAPE, 4)
    bits = coder_bits(parts.split(levels), parts)
    prices = price_candidates(
        levels, np.stack([np.zeros_like(levels), np.where(levels < 0, -1, 1)], -1).astype("i4")
    )
    assert np.array_equal(parts.join(bits.nonzero), prices[..., 1] - prices[..., 0])
    assert bits.magnitudes[0] == 0
