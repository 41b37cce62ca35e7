"""Which step is named for a loss."""

import math

import pytest

from edgesqueeze.measure.checks.accuracy.losing import losing_step


@pytest.mark.parametrize(
    ("worth", "step"),
    [
        ([0.9, 0.4, 0.41, 0.4], 0),  # lost once, never found again
        ([0.9, 0.85, 0.3, 0.3], 1),  # of two that lose, the one that loses more
        ([0.9, 0.1, 0.9, 0.8], 2),  # what was made good again is nobody's
        ([0.9, 0.9, 0.9, 0.2], 2),  # the file
        ([0.9, 0.2], 0),  # no stage between
        ([0.9, math.nan, math.nan], 0),  # no number is worst
        ([0.9, 0.895, 0.885, 0.88], 1),  # little by little: behind it, it was lost
    ],
)
def test_the_step_that_lost_most_since_all_was_good_is_named(worth, step):
    assert losing_step(worth, limit=0.89) == step
