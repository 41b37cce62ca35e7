"""Intervals and paired tests against scipy, which computes them by other means."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgesqueeze.numerics.proportions import (
    images_to_tell,
    mcnemar_exact,
    smallest_visible_loss,
    wilson_interval,
)


@settings(max_examples=50)
@given(st.integers(1, 5000), st.data())
def test_the_interval_is_wilsons(total, data):
    right = data.draw(st.integers(0, total))
    found = wilson_interval(right, total)
    expected = binomtest(right, total).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low < found.high <= 1
    assert found.low - 1e-12 <= right / total <= found.high + 1e-12


@settings(max_examples=50)
@given(st.integers(0, 300), st.integers(0, 300))
def test_the_paired_test_is_the_exact_binomial_one(lost, won):
    found = mcnemar_exact(lost, won)
    expected = binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert found.p_value == pytest.approx(expected, abs=1e-12)
    assert (found.lost, found.won) == (lost, won)
    assert mcnemar_exact(won, lost).p_value == found.p_value


def test_thousands_of_differing_answers_are_no_problem():
    assert mcnemar_exact(5000, 5200).p_value == pytest.approx(binomtest(5000, 10200).pvalue, rel=1e-9)
    assert mcnemar_exact(0, 5000).p_value == 0.0  # 2^-4999 is below the smallest float


def test_six_lost_images_are_the_fewest_that_show():
    assert smallest_visible_loss() == 6


@pytest.mark.parametrize(("lost", "won"), [(5, 2), (5, 0), (1, 0), (40, 30), (2, 9)])
def test_that_many_images_would_tell(lost, won):
    total = 1000
    wanted = images_to_tell(mcnemar_exact(lost, won), total)
    assert wanted > total
    grown = [round(count * wanted / total * 1.1) for count in (lost, won)]
    assert mcnemar_exact(*grown).p_value < 0.06
    assert images_to_tell(mcnemar_exact(3, 3), total) is None
