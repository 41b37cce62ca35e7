"""Bisection on invented curves: what is given back has served, and little above it would have."""

import math

import numpy as np
import pytest

from edgesqueeze.numerics.bisection import highest

LOWEST, TOP, TRIES = 1e-6, 100.0, 8
RESOLUTION = (TOP / LOWEST) ** (1 / 2**TRIES)


def asked(serves):
    """The highest that serves, and every value that was asked about."""
    values = []

    def look(value):
        values.append(value)
        return serves(value)

    return highest(look, LOWEST, TOP, TRIES), values


@pytest.mark.parametrize("limit", [3e-6, 0.00123, 0.01, 0.5, 99.0])
def test_of_a_monotone_curve_the_highest_is_found_to_the_last_halving(limit):
    found, values = asked(lambda value: value <= limit)
    assert len(values) == TRIES
    assert limit / RESOLUTION * 0.999 <= found <= limit


def test_where_nothing_serves_there_is_nothing():
    found, values = asked(lambda value: False)
    assert found is None
    assert min(values) < LOWEST * RESOLUTION * 1.001
    assert asked(lambda value: True)[0] > TOP / RESOLUTION * 0.999


@pytest.mark.parametrize("seed", range(20))
def test_of_a_noisy_curve_what_is_found_has_served_and_is_the_highest_that_did(seed):
    rng = np.random.default_rng(seed)
    answers = {}

    def serves(value):
        answers[value] = 0.3 * (math.log10(value) + 6) + rng.normal(0, 0.5) < 1.2
        return answers[value]

    found, values = asked(serves)
    assert len(answers) == len(values) == TRIES
    assert found == max((value for value in values if answers[value]), default=None)


def test_what_is_tried_can_be_typed_and_follows_from_the_answers():
    found, values = asked(lambda value: value <= 0.7)
    assert all(float(f"{value:.4g}") == value for value in values)
    assert asked(dict(zip(values, [v <= 0.7 for v in values], strict=True)).get) == (found, values)
