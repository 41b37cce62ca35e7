"""Levels chosen by the coder's own price: against the files that come out."""

import numpy as np
import pytest

from edgesqueeze.coding.rounding import cheapest_levels
from edgesqueeze.coding.symbols import price_candidates
from edgesqueeze.coding.weight_tensor import encode_weights

STEP = np.float32(0.0625)


@pytest.fixture(scope="module")
def weights():
    """Laplacian, with columns of very different sizes."""
    generator = np.random.default_rng(0)
    return (generator.laplace(0, 0.1, (40, 3, 5, 5)) * np.exp(generator.normal(size=(1, 3, 5, 5)))).astype(
        "f4"
    )


def cost(weights, levels, price):
    error = float(((weights - levels * STEP) ** 2).sum())
    return error + price * 8 * len(encode_weights((levels * STEP).astype(np.float32)))


@pytest.mark.parametrize("price", [1e-4, 1e-3])
def test_the_file_and_the_error_together_get_cheaper(weights, price):
    nearest = np.rint(weights / STEP).astype(np.int32)
    found = cheapest_levels(weights, nearest, float(STEP), price)
    assert cost(weights, found, price) < cost(weights, nearest, price)
    assert np.count_nonzero(found) < np.count_nonzero(nearest)
    scaled = weights / STEP
    assert ((found == 0) | (np.abs(found - scaled) < 1)).all()
    assert (found * np.sign(scaled) >= 0).all()


def test_each_choice_is_the_cheapest_at_the_price_it_was_shown(weights):
    nearest = np.rint(weights / STEP).astype(np.int32)
    found = cheapest_levels(weights, nearest, float(STEP), 3e-4)
    others = np.stack([found, found - 1, found + 1, np.zeros_like(found)], -1)
    bits = price_candidates(nearest, others)
    scores = (weights[..., None] - others * STEP).astype(np.float64) ** 2 + 3e-4 * bits
    assert (scores[..., 0] <= scores[..., 3] + 1e-9).all()
    allowed = (others == 0) | (np.abs(others - (weights / STEP)[..., None]) < 1)
    assert (scores[..., :1] <= np.where(allowed, scores, np.inf) + 1e-9).all()


def test_a_free_bit_means_the_nearest_level(weights):
    nearest = np.rint(weights / STEP).astype(np.int32)
    assert np.array_equal(cheapest_levels(weights, nearest, float(STEP), 0.0), nearest)
