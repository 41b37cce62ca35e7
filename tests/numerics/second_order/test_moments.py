"""Second moments: the weights they ask for, and how far samples can be trusted."""

import numpy as np
import pytest

from edgesqueeze.numerics.second_order.moments import SHARES, Moments, best_share, carry_of, fitted


def moments_of(inputs, answers):
    """Of inputs [groups, columns, N] and answers [groups, rows, N]."""
    places = inputs.shape[-1]
    return Moments(inputs @ inputs.mT / places, answers @ inputs.mT / places, places)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("columns", [5, 300])
def test_the_carry_is_a_root_of_the_inverse(columns, rng):
    inputs = rng.normal(size=(2, columns, 2 * columns))
    moments = inputs @ inputs.mT
    carry = carry_of(moments)
    assert np.array_equal(carry, np.triu(carry))
    np.testing.assert_allclose(
        carry.mT @ carry @ moments, np.broadcast_to(np.eye(columns), moments.shape), atol=1e-8
    )


def test_fitted_weights_are_those_of_least_squares(rng):
    inputs, answers = rng.normal(size=(1, 6, 50)), rng.normal(size=(1, 4, 50))
    moments = moments_of(inputs, answers)
    found = fitted(moments, carry_of(moments.inputs))
    np.testing.assert_allclose(found[0], np.linalg.lstsq(inputs[0].T, answers[0].T)[0].T, atol=1e-10)
    direct = ((found @ inputs - answers) ** 2).mean(-1)
    np.testing.assert_allclose(moments.errors(found) + (answers**2).mean(-1), direct, atol=1e-10)


def test_damping_draws_towards_the_weights_there_were(rng):
    inputs, weight = rng.normal(size=(2, 6, 50)), rng.normal(size=(2, 4, 6))
    inputs[1] = 0  # channels that are never used
    moments = moments_of(inputs, rng.normal(size=(2, 4, 50)))
    distances = []
    for share in (0.01, 1.0, 1e6):
        damped = moments.damped(weight, share)
        distances.append(np.abs(fitted(damped, carry_of(damped.inputs)) - weight).max(axis=(1, 2)))
    assert distances[0][0] > distances[1][0] > distances[2][0]
    assert distances[2][0] < 1e-4
    assert max(part[1] for part in distances) < 1e-12


def test_moments_of_halves_together_are_those_of_all(rng):
    inputs, answers = rng.normal(size=(2, 6, 50)), rng.normal(size=(2, 4, 50))
    parts = [moments_of(inputs[..., part], answers[..., part]) for part in (slice(0, 20), slice(20, 50))]
    both, whole = parts[0].plus(parts[1]), moments_of(inputs, answers)
    np.testing.assert_allclose(both.inputs, whole.inputs)
    np.testing.assert_allclose(both.answers, whole.answers)
    assert both.places == 50


def test_few_samples_are_trusted_little(rng):
    """The right weights are others than those there are; eight samples of forty inputs do not tell them."""
    weight = rng.normal(size=(1, 4, 40))
    right = weight + 0.3 * rng.normal(size=weight.shape)
    shares = []
    for count in (8, 4000):
        inputs = rng.normal(size=(1, 40, 2 * count))
        answers = right @ inputs + rng.normal(size=(1, 4, 2 * count))
        halves = [moments_of(inputs[..., i::2], answers[..., i::2]) for i in range(2)]
        shares.append(best_share(halves, weight, np.ones((1, 4))))
    assert shares[0] >= 1.0
    assert shares[1] <= 0.03


def test_of_one_image_nothing_is_known(rng):
    moments = moments_of(rng.normal(size=(1, 4, 9)), rng.normal(size=(1, 2, 9)))
    assert best_share([moments], np.ones((1, 2, 4)), np.ones((1, 2))) == SHARES[-1]
