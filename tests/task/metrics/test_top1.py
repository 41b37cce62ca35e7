"""Top-1 accuracy: scikit-learn's, also of integers, ties and what is no number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import top1_accuracy


@given(st.data())
def test_top1_accuracy_agrees_with_sklearn(data):
    rows, classes = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 6))
    outputs = data.draw(hnp.arrays(np.float32, (rows, classes), elements=st.floats(-4, 4, width=16)))
    targets = data.draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
    assert top1_accuracy(outputs, targets) == pytest.approx(accuracy_score(targets, outputs.argmax(1)))


def test_top1_accuracy_of_integers_ties_and_nan():
    assert top1_accuracy(np.array([[1, 3], [5, 5]], np.int8), np.array([1, 0])) == 1.0
    outputs = np.array([[np.nan, 1.0], [0.0, 1.0]], np.float32)
    assert top1_accuracy(outputs, np.array([0, 1])) == 0.5
    assert top1_accuracy(outputs, np.array([1, 1])) == 0.5


@pytest.mark.parametrize(
    ("outputs", "targets"), [((0, 3), (0,)), ((2, 3), (3,)), ((2, 3, 1), (2,)), ((2, 3), (2, 1))]
)
def test_top1_accuracy_refuses_other_shapes(outputs, targets):
    with pytest.raises(TaskError, match="accuracy needs outputs"):
        top1_accuracy(np.zeros(outputs), np.zeros(targets, np.int64))
