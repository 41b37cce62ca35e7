"""Every metric gets the interval and the test that fit it, if any do."""

import time

import numpy as np
import pytest

from edgesqueeze.measure.checks import image_answers as module
from edgesqueeze.measure.checks.image_answers import ImageAnswers, image_answers
from edgesqueeze.numerics.bootstrap import RESAMPLES, BootstrapInterval, BootstrapTest
from edgesqueeze.numerics.proportions import PairedTest
from edgesqueeze.task.metrics import Measure, measure_of, metrics_of, score_all, top1_accuracy

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, 60)
OUTPUTS = np.eye(3)[TARGETS] + RNG.normal(0, 0.6, (60, 3))
WORSE = OUTPUTS + RNG.normal(0, 2.0, (60, 3))


def distance(outputs, targets):
    return float(np.abs(outputs - np.eye(3)[targets]).mean())


def answers_of(metric, outputs=OUTPUTS):
    measure = measure_of(metric)
    return image_answers(measure, score_all({"m": metric}, outputs, TARGETS), outputs, TARGETS)


def test_right_answers_are_counted():
    one, other = (answers_of(top1_accuracy, outputs) for outputs in (OUTPUTS, WORSE))
    assert not isinstance(one.interval(0.5), BootstrapInterval)
    change = top1_accuracy(WORSE, TARGETS) - top1_accuracy(OUTPUTS, TARGETS)
    test = other.against(one, Measure(top1_accuracy), change)
    assert isinstance(test, PairedTest)
    assert (test.won - test.lost) / 60 == pytest.approx(change)


@pytest.mark.parametrize(
    "measure",
    [metrics_of("classification", ("a", "b", "c"))["F1"], Measure(distance, higher_is_better=False)],
    ids=["from parts", "by calling it"],
)
def test_other_metrics_are_drawn(measure):
    one, other = (answers_of(measure, outputs) for outputs in (OUTPUTS, WORSE))
    assert one.counted is None
    assert len(one.draws) == RESAMPLES
    value = measure(OUTPUTS, TARGETS)
    assert isinstance(one.interval(value), BootstrapInterval)
    assert one.interval(value).low < value < one.interval(value).high
    change = measure(WORSE, TARGETS) - measure(OUTPUTS, TARGETS)
    test = other.against(one, measure, change)
    assert isinstance(test, BootstrapTest)
    assert test.low < change < test.high
    assert test.p_value < 0.05


def test_calling_a_metric_gives_the_draws_that_its_parts_give():
    def parts(outputs, targets):
        return {"each": np.abs(outputs - np.eye(3)[targets]).mean(axis=1)}

    with_parts = Measure(
        distance, parts=parts, value=lambda p, weights: float(weights @ p["each"] / weights.sum())
    )
    assert answers_of(with_parts).draws == pytest.approx(answers_of(distance).draws, abs=1e-12)
    assert answers_of(with_parts).parts["each"].shape == (60,)


def test_a_metric_that_is_too_slow_has_no_interval(monkeypatch):
    monkeypatch.setattr(module, "MOST_SECONDS", RESAMPLES * 0.001)

    def slow(outputs, targets):
        time.sleep(0.002)
        return distance(outputs, targets)

    assert answers_of(slow).interval(0.5) is None


def test_a_metric_that_refuses_drawn_images_has_no_interval():
    def in_order(outputs, targets):
        if len(outputs) < 60 or (targets != TARGETS).any():
            raise ValueError("all images, in order")
        return 0.5

    assert answers_of(in_order).interval(0.5) is None
    assert answers_of(in_order).against(answers_of(distance), Measure(distance), 0.1) is None


def test_what_was_not_kept_cannot_be_compared():
    counted, drawn = answers_of(top1_accuracy), answers_of(distance)
    for before in (ImageAnswers(), drawn, ImageAnswers(draws=drawn.draws[:10])):
        assert counted.against(before, Measure(top1_accuracy), 0.0) is None
    assert drawn.against(ImageAnswers(draws=drawn.draws[:10]), Measure(distance), 0.0) is None
