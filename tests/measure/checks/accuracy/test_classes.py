"""What a class lost, and its p-value among many classes."""

import numpy as np
import pytest

from edgesqueeze.measure.checks.accuracy.classes import class_losses, recall_of

LABELS = np.array([0] * 20 + [2] * 10 + [3] * 5)


def test_classes_are_tested_on_their_own_images_from_the_largest_fall_down():
    before, after = np.full(35, True), np.full(35, True)
    before[:2] = False  # won by the second
    after[4:14] = False
    after[20:29] = False
    found = class_losses(before, after, LABELS)
    assert [(loss.label, loss.images, loss.test.lost, loss.test.won) for loss in found] == [
        (2, 10, 9, 0),
        (0, 20, 10, 2),
    ]
    assert [loss.fall for loss in found] == pytest.approx([0.9, 0.4])
    assert found[0].p_value == pytest.approx(3 / 2**9)  # of the three classes that there are
    assert found[1].p_value == pytest.approx(3 * (1 + 12 + 66) / 2**12)
    assert recall_of(0, after, LABELS) == 0.5


def test_nothing_lost_is_no_loss():
    right = np.full(35, True)
    assert class_losses(right, right, LABELS) == []
    assert class_losses(~right, right, LABELS) == []
