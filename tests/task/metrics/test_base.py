"""What a metric is, metrics that belong together, and which direction is the good one."""

import subprocess
import sys

import numpy as np
import pytest

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import (
    Measure,
    Scores,
    compacted,
    measure_of,
    metrics_of,
    score_all,
    top1_accuracy,
)
from edgesqueeze.task.metrics.base import member

OUTPUTS, TARGETS = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]), np.array([0, 1, 1])
CLASSES = tuple("abcdefg")


def mean(parts, weights):
    return float(weights @ parts["right"] / weights.sum())


def test_a_plain_metric_is_a_share_of_which_more_is_better():
    assert measure_of(top1_accuracy) == Measure(top1_accuracy, True, "share")
    distance = Measure(lambda y, t: float(abs(y - t).mean()), higher_is_better=False, unit="number")
    assert measure_of(distance) is distance
    assert distance(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 1.0


def test_a_gain_is_above_zero_whichever_direction_is_the_good_one():
    share, error = Measure(top1_accuracy), Measure(top1_accuracy, higher_is_better=False)
    assert share.gain(0.5, 0.75) == error.gain(0.75, 0.5) == 0.25
    assert share.is_better(0.75, 0.5)
    assert error.is_better(0.5, 0.75)
    assert not error.is_better(0.5, 0.5)
    assert not any(measure.is_better(float("nan"), 0.5) for measure in (share, error))


def test_parts_and_value_come_together():
    with pytest.raises(TaskError, match="has parts without value; give both or neither"):
        Measure(top1_accuracy, parts=lambda y, t: {})
    with pytest.raises(TaskError, match="has value without parts"):
        Measure(top1_accuracy, value=mean)


def test_metrics_that_belong_together_are_computed_in_one_pass_under_any_name():
    passes = []

    def together(outputs, targets):
        passes.append(len(targets))
        right = outputs.argmax(1) == targets
        return Scores({"a": 1.0, "b": 2.0}, {"note": "n"}, lambda: {"right": right})

    metrics = {
        "mine": member(together, "b", mean),
        "plain": top1_accuracy,
        "other": member(together, "a", mean),
    }
    found = score_all(metrics, OUTPUTS, TARGETS)
    assert list(found.values.items()) == [("mine", 2.0), ("plain", 2 / 3), ("other", 1.0)]
    assert found.details == {"note": "n"}
    assert found.parts()["right"].tolist() == [True, True, False]
    assert passes == [3]
    assert metrics["mine"](OUTPUTS, TARGETS) == 2.0
    assert metrics["mine"].parts(OUTPUTS, TARGETS)["right"].sum() == 2
    assert score_all({"plain": top1_accuracy}, OUTPUTS, TARGETS).parts is None


def test_parts_of_ones_own_measure_are_those_of_the_answers():
    own = Measure(top1_accuracy, parts=lambda y, t: {"right": y.argmax(1) == t}, value=mean)
    assert score_all({"own": own}, OUTPUTS, TARGETS).parts()["right"].tolist() == [True, True, False]


def test_outputs_are_made_compact_only_if_every_metric_takes_them_so():
    one = Measure(top1_accuracy, compact=np.negative)
    assert compacted({"a": one, "b": one}, OUTPUTS)[0, 0] == -0.9
    for others in ({"b": top1_accuracy}, {"b": Measure(top1_accuracy, compact=np.abs)}):
        assert compacted({"a": one, **others}, OUTPUTS) is OUTPUTS
    assert compacted({"a": top1_accuracy}, OUTPUTS) is OUTPUTS


@pytest.mark.parametrize(
    ("kind", "names", "units"),
    [
        ("classification", ["accuracy", "top-5", "precision", "recall", "F1"], {"share"}),
        ("detection", ["mAP@[.5:.95]", "mAP@.5"], {"share"}),
        ("segmentation", ["mIoU", "pixel accuracy"], {"share"}),
        ("reconstruction", ["PSNR", "SSIM", "MSE"], {"dB", "number"}),
        ("regression", ["MAE", "RMSE"], {"number"}),
    ],
)
def test_every_kind_has_its_metrics(kind, names, units):
    found = metrics_of(kind, CLASSES)
    assert list(found) == names
    assert {measure.unit for measure in found.values()} == units
    less = {name for name, measure in found.items() if not measure.higher_is_better}
    assert less == set(names) & {"MSE", "MAE", "RMSE"}


def test_few_classes_have_no_top_5_and_none_are_refused():
    assert "top-5" not in metrics_of("classification", CLASSES[:5])
    for kind in ("classification", "detection", "segmentation"):
        with pytest.raises(TaskError, match=f"metrics of {kind} need the names of the classes, found none"):
            metrics_of(kind)


def test_metrics_can_be_named_without_torch():
    code = (
        "import sys; from edgesqueeze.task.metrics import metrics_of; metrics_of('detection', ('a',)); "
        "print([name for name in ('torch', 'torchmetrics') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
