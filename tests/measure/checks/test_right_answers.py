"""Which images are right is asked of the metric, whatever it is."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from edgesqueeze.measure.checks.right_answers import interval_of, paired_with, right_answers

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


def task_with(task, metric):
    return replace(task, metrics={"m": metric})


def test_of_accuracy_every_image_is_known(tiny_task):
    right = right_answers(tiny_task, OUTPUTS, TARGETS)
    assert np.array_equal(right, OUTPUTS.argmax(1) == TARGETS)
    assert 0 < right.sum() < 50
    found = interval_of(right)
    assert found.low < right.mean() < found.high


@pytest.mark.parametrize(
    "metric",
    [
        warns,
        lambda outputs, targets: np.float32((outputs.argmax(1) == targets).mean()),
        lambda outputs, targets: float((np.abs(outputs[:, 0] - (targets == 0)) < 0.5).mean()),  # no classes
    ],
)
def test_any_share_of_right_answers_will_do(metric, tiny_task):
    assert right_answers(task_with(tiny_task, metric), OUTPUTS, TARGETS) is not None


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
def test_metrics_of_another_kind_are_not_paired(metric, tiny_task):
    right = right_answers(task_with(tiny_task, metric), OUTPUTS, TARGETS)
    assert right is None
    assert interval_of(right) is None
    assert paired_with(right, right) is None


def test_pairs_are_counted_image_by_image():
    one, other = np.array([True, True, True, False, False]), np.array([True, False, False, True, False])
    found = paired_with(one, other)
    assert (found.lost, found.won) == (2, 1)
