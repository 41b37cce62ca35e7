"""How close answers are to the float network's: agreement, and the SQNR of the worst output."""

import numpy as np
import pytest

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import score_all
from edgesqueeze.task.metrics.fidelity import EXACT_DB, fidelity_metrics, output_sqnr

RNG = np.random.default_rng(0)
WANTED = RNG.normal(size=(40, 3, 5)).astype(np.float32)


def test_of_class_scores_the_same_largest_counts():
    metrics = fidelity_metrics("classification")
    scores = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]]
    assert list(metrics) == ["agreement"]
    assert metrics["agreement"](scores, np.array([0, 1, 2, 0])) == 0.75


@pytest.mark.parametrize("kind", ["detection", "segmentation", "regression"])
def test_of_anything_else_it_is_the_ratio_of_powers(kind):
    found = WANTED + RNG.normal(size=WANTED.shape) / 100
    noise = np.square(found - WANTED).sum()
    scores = score_all(fidelity_metrics(kind), found, WANTED)
    exact = 10 * np.log10(np.square(WANTED.astype(float)).sum() / noise)
    assert scores.values == {"SQNR": pytest.approx(exact)}
    measure = fidelity_metrics(kind)["SQNR"]
    ones = np.ones(len(WANTED), np.int64)
    assert measure.value(measure.parts(found, WANTED), ones) == pytest.approx(exact)


def test_of_several_outputs_the_worst_counts_by_name():
    near, far = WANTED * 1.001, WANTED * 1.1
    both = {"a": WANTED, "b": WANTED}
    assert output_sqnr({"b": far, "a": near}, both) == pytest.approx(20, abs=1e-3)
    assert output_sqnr(both, both) == EXACT_DB


def test_other_shapes_are_refused():
    with pytest.raises(TaskError, match="SQNR needs outputs and targets of one shape"):
        output_sqnr(WANTED[:, :2], WANTED)
