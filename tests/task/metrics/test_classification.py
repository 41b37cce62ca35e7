"""Metrics of class scores: by hand, against scikit-learn, and from their parts."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import metrics_of, score_all

RNG = np.random.default_rng(0)
SEVEN = metrics_of("classification", tuple("abcdefg"))
THREE = metrics_of("classification", tuple("abc"))
# class 0: 2 of 3 found, 1 wrongly named; class 1: 1 of 1 found, 1 wrongly named; class 2 never occurs
OUTPUTS = np.array([[9, 0, 0], [9, 0, 0], [0, 9, 0], [0, 9, 0]], np.float32)
TARGETS = np.array([0, 0, 0, 1])


def random_answers(count):
    targets = RNG.integers(0, 6, count)  # class 6 may be named, and is no target
    return np.eye(7)[targets] + RNG.normal(0, 0.6, (count, 7)), targets


def test_four_answers_by_hand():
    found = score_all(THREE, OUTPUTS, TARGETS)
    assert dict(found.values) == {
        "accuracy": 0.75,
        "precision": pytest.approx((1 + 1 / 2) / 2),
        "recall": pytest.approx((2 / 3 + 1) / 2),
        "F1": pytest.approx((4 / 5 + 2 / 3) / 2),
    }
    assert found.details == {
        "per_class": {
            "precision": [1.0, 0.5, None],
            "recall": [0.666667, 1.0, None],
            "F1": [0.8, 0.666667, None],
        },
        "confusion": [[2, 1, 0], [0, 1, 0], [0, 0, 0]],
    }


def test_they_are_scikit_learns():
    outputs, targets = random_answers(300)
    found = score_all(SEVEN, outputs, targets)
    expected = precision_recall_fscore_support(targets, outputs.argmax(1), average="macro", zero_division=0)
    assert [found.values[name] for name in ("precision", "recall", "F1")] == pytest.approx(
        expected[:3], abs=1e-6
    )
    top = top_k_accuracy_score(targets, outputs, k=5, labels=range(7))
    assert found.values["top-5"] == pytest.approx(top, abs=1e-6)
    assert np.array_equal(
        found.details["confusion"], confusion_matrix(targets, outputs.argmax(1), labels=range(7))
    )


@pytest.mark.parametrize("name", ["top-5", "precision", "recall", "F1"])
def test_from_parts_they_are_those_of_the_images_drawn(name):
    outputs, targets = random_answers(120)
    measure = SEVEN[name]
    parts = measure.parts(outputs, targets)
    once = np.ones(120, np.int64)
    assert measure.value(parts, once) == pytest.approx(measure(outputs, targets), abs=1e-6)
    weights = RNG.multinomial(120, np.full(120, 1 / 120))
    rows = np.repeat(np.arange(120), weights)
    assert measure.value(parts, weights) == pytest.approx(measure(outputs[rows], targets[rows]), abs=1e-6)


def test_a_row_with_nan_is_wrong_and_names_no_class():
    outputs = np.eye(7)[[0, 1, 1]]
    outputs[2, 5] = np.nan
    found = score_all(SEVEN, outputs, np.array([0, 1, 1]))
    assert found.values["accuracy"] == found.values["top-5"] == pytest.approx(2 / 3)
    assert found.values["precision"] == 1.0
    assert found.values["recall"] == pytest.approx(3 / 4)
    assert found.details["confusion"][1] == [0, 1, 0, 0, 0, 0, 0, 1]


def test_of_very_many_classes_the_confusion_matrix_is_left_out():
    many = metrics_of("classification", [str(c) for c in range(101)])
    found = score_all(many, np.eye(101), np.arange(101))
    assert list(found.details) == ["per_class"]
    assert found.values["F1"] == 1.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(TaskError, match=r"there are 3 classes but the outputs are \[2, 7\]"):
        THREE["F1"](np.zeros((2, 7)), np.zeros(2, int))
    with pytest.raises(TaskError, match="targets run from 0 to 3; allowed are the 3 classes 0 to 2"):
        THREE["F1"](np.zeros((2, 3)), np.array([0, 3]))
