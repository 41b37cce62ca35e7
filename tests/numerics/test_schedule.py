import itertools

import pytest

from edgesqueeze.errors import RecipeError
from edgesqueeze.numerics.schedule import cubic_sparsity


def test_ends_and_middle_follow_the_equation():
    assert cubic_sparsity(0, 10, 0.0, 0.9) == 0.0
    assert cubic_sparsity(10, 10, 0.0, 0.9) == 0.9
    assert cubic_sparsity(5, 10, 0.1, 0.9) == pytest.approx(0.9 - 0.8 * 0.125)


def test_it_rises_ever_more_slowly():
    curve = [cubic_sparsity(step, 20, 0.2, 0.95) for step in range(21)]
    steps = [b - a for a, b in itertools.pairwise(curve)]
    assert all(step > 0 for step in steps)
    assert steps == sorted(steps, reverse=True)


@pytest.mark.parametrize(
    ("step", "num_steps", "initial", "final"),
    [(-1, 10, 0, 0.5), (11, 10, 0, 0.5), (0, 0, 0, 0.5), (1, 2, 0, 1.0), (1, 2, 0.6, 0.5), (1, 2, -0.1, 0.5),
     (1, 2, 0, float("nan"))],
)  # fmt: skip
def test_impossible_schedules_are_refused(step, num_steps, initial, final):
    with pytest.raises(RecipeError):
        cubic_sparsity(step, num_steps, initial, final)
