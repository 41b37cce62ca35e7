"""The confusion matrix, and what has none."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from edgesqueeze.run.documents.confusion import confusion_of

RNG = np.random.default_rng(0)


def test_it_is_the_one_of_sklearn_with_classes_that_do_not_occur():
    scores, labels = RNG.normal(size=(200, 5)), RNG.integers(0, 4, 200)
    found = confusion_of(scores, labels)
    assert np.array_equal(found.counts, confusion_matrix(labels, scores.argmax(1), labels=range(5)))
    assert found.to_json()["classes"] == ["0", "1", "2", "3", "4"]


def test_small_integers_do_not_overflow_and_a_row_without_an_answer_is_in_no_cell():
    labels = np.arange(30, dtype=np.uint8)
    scores = np.eye(30)
    scores[4, 7] = np.nan
    found = confusion_of(scores, labels)
    assert found.counts.trace() == found.counts.sum() == 29
    assert found.counts[4].sum() == 0


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        (np.zeros((4, 3)), np.zeros(4)),  # numbers, not labels
        (np.zeros((4, 3)), np.zeros((4, 3), int)),
        (np.zeros((4, 3, 2, 2)), np.zeros((4, 2, 2), int)),
        (np.zeros((4, 1)), np.zeros(4, int)),
        (np.zeros((4, 3)), np.full(4, 3)),  # a label for which there is no score
        ({"boxes": np.zeros((4, 2))}, {"labels": np.zeros(4, int)}),
        ((np.zeros((4, 2)), np.zeros((4, 3))), np.zeros(4, int)),
    ],
)
def test_other_answers_have_none(outputs, targets):
    assert confusion_of(outputs, targets) is None
