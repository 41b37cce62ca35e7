"""Which images are right is asked of the metric, whatever it is."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from edgesqueeze.measure.checks.right_answers import counted_images, paired_right, share_interval
from edgesqueeze.task.metrics import Measure, top1_accuracy

RNG = np.random.default_rng(0)
TARGETS = np.array([0] * 30 + [1] * 15 + [2] * 5)
OUTPUTS = np.eye(3)[TARGETS] + RNG.normal(0, 0.7, (50, 3))


def needs_several(outputs, targets):
    if len(outputs) < 2:
        raise ValueError("two images at least")
    return float((outputs.argmax(1) == targets).mean())


def warns(outputs, targets):
    if len(outputs) == 1:
        warnings.warn("one image only", stacklevel=2)
    return float((outputs.argmax(1) == targets).mean())


def test_of_accuracy_every_image_is_known():
    counted = counted_images(Measure(top1_accuracy), OUTPUTS, TARGETS)
    assert np.array_equal(counted, OUTPUTS.argmax(1) == TARGETS)
    assert 0 < counted.sum() < 50
    found = share_interval(counted)
    assert found.low < counted.mean() < found.high


@pytest.mark.parametrize(
    "metric",
    [
        warns,
        lambda outputs, targets: np.float32((outputs.argmax(1) == targets).mean()),
        lambda outputs, targets: float((np.abs(outputs[:, 0] - (targets == 0)) < 0.5).mean()),  # no classes
    ],
)
def test_any_share_of_right_answers_will_do(metric):
    assert counted_images(Measure(metric), OUTPUTS, TARGETS) is not None


@pytest.mark.parametrize(
    "metric",
    [
        needs_several,
        lambda outputs, targets: f1_score(targets, outputs.argmax(1), average="macro"),
        lambda outputs, targets: balanced_accuracy_score(targets, outputs.argmax(1)),
        lambda outputs, targets: -float(np.abs(outputs - np.eye(3)[targets]).mean()),
        lambda outputs, targets: float("nan"),
    ],
)
def test_metrics_of_another_kind_count_no_images(metric):
    assert counted_images(Measure(metric), OUTPUTS, TARGETS) is None


def test_pairs_are_counted_image_by_image():
    one, other = np.array([True, True, True, False, False]), np.array([True, False, False, True, False])
    found = paired_right(one, other, Measure(top1_accuracy))
    assert (found.lost, found.won) == (2, 1)


def test_of_errors_those_are_lost_that_become_errors():
    before, after = np.array([False, False, True]), np.array([True, True, False])
    found = paired_right(before, after, Measure(top1_accuracy, higher_is_better=False))
    assert (found.lost, found.won) == (2, 1)
