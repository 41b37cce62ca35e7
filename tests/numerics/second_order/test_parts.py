"""Weights taken apart and put together again."""

import numpy as np
import pytest

from edgesqueeze.numerics.second_order.parts import MOST_COLUMNS, Parts


@pytest.mark.parametrize(("groups", "pieces"), [(1, 1), (3, 1), (1, 5), (3, 5)])
def test_parts_come_together_again(groups, pieces):
    weight = np.random.default_rng(0).normal(size=(6, 5, 2, 1))
    parts = Parts(weight.shape, groups, pieces)
    split = parts.split(weight)
    assert split.shape == (groups * pieces, 6 // groups, 10 // pieces)
    assert np.array_equal(parts.join(split), weight)
    x = np.random.default_rng(1).normal(size=split.shape[::2])
    answered = parts.by_row(np.einsum("prc,pc->pr", split, x))
    whole = x.reshape(groups, -1).repeat(6 // groups, axis=0)
    np.testing.assert_allclose(answered, (weight.reshape(6, -1) * whole).sum(1))


def test_every_row_of_a_group_keeps_its_value_in_all_pieces():
    assert Parts((4, 6), 2, 3).of_rows(np.arange(4)).tolist() == [[0, 1]] * 3 + [[2, 3]] * 3


def test_no_part_is_wider_than_memory_allows():
    assert Parts.of((8, MOST_COLUMNS), 1).pieces == 1
    assert Parts.of((4096, 25088), 1).pieces == 4  # VGG-16's first dense layer: 6272 columns at a time
    assert Parts.of((512, 1, 3, 3), 512).pieces == 1
