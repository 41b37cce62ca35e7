"""Intervals and paired tests against scipy, which computes them by other means."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgesqueeze.numerics.proportions import (
    PairedTest,
    fewest_images,
    images_to_tell,
    mcnemar_exact,
    most_lost,
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


@pytest.mark.parametrize(("lost", "won", "total"), [(100, 80, 3000), (5, 0, 200), (12, 10, 100), (0, 0, 539)])
def test_the_most_that_may_be_lost_is_where_the_likeliest_shares_leave_five_per_cent(lost, won, total):
    """The constrained maximum of the likelihood by brute force, and the normal deviate at it."""
    loss = most_lost(PairedTest(lost, won, 1.0), total)
    wins = np.linspace(1e-9, (1 - loss) / 2 - 1e-9, 400_001)
    likelihood = lost * np.log(wins + loss) + won * np.log(wins)
    likelihood += (total - lost - won) * np.log(1 - 2 * wins - loss)
    win = wins[likelihood.argmax()]
    deviate = (total * loss - lost + won) / np.sqrt(total * (2 * win + loss * (1 - loss)))
    assert deviate == pytest.approx(NormalDist().inv_cdf(0.95), abs=1e-3)
    assert loss > (lost - won) / total


def test_a_true_loss_is_ruled_out_in_one_of_twenty_tries():
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(1000, [0.03, 0.015, 0.955], size=1000)
    held = [most_lost(PairedTest(int(lost), int(won), 1.0), 1000) >= 0.015 for lost, won, _ in drawn]
    assert 0.92 < np.mean(held) < 0.98


def test_images_that_all_agree_tell_once_there_are_enough():
    for loss in (0.005, 0.01, 0.2):
        fewest = fewest_images(loss)
        assert most_lost(PairedTest(0, 0, 1.0), fewest) <= loss
        assert most_lost(PairedTest(0, 0, 1.0), fewest - 1) > loss
    assert 0 <= most_lost(PairedTest(0, 30, 1.0), 100) < 1e-9
