"""What is said of stages and trainings that end far worse than they began, and when."""

import math

import pytest
import torch
from small_task import build_model, small_task
from training import Recorder

from edgesqueeze.task import Measure, top1_accuracy
from edgesqueeze.task.training import Epoch, Session, TrainingSettings, fit, left_worse
from edgesqueeze.task.training.worse import ended_worse

SHARE = Measure(top1_accuracy)
PSNR, ERROR = Measure(top1_accuracy, unit="dB"), Measure(top1_accuracy, False, "number")


@pytest.mark.parametrize(
    ("measure", "before", "after", "far"),
    [
        (SHARE, 0.9, 0.81, False),
        (SHARE, 0.9, 0.79, True),
        (SHARE, 0.1, 0.9, False),
        (SHARE, 0.9, math.nan, True),
        (SHARE, math.nan, 0.1, False),
        (PSNR, 30.0, 27.1, False),
        (PSNR, 30.0, 26.9, True),
        (ERROR, 2.0, 1.0, False),
        (ERROR, 2.0, 2.3, True),
        (ERROR, 0.0, 0.0, False),
    ],
)
def test_far_is_ten_small_changes_in_the_bad_direction(measure, before, after, far):
    assert (left_worse("prune", measure, before, after) is not None) == far


def test_a_stage_is_named_with_both_values():
    said = left_worse("prune", SHARE, 0.978, 0.1)
    assert said == "'prune' leaves a network far worse than it was given: 97.80 % before, 10.00 % now"
    assert left_worse("prune", SHARE, None, 0.1) is None


@pytest.mark.parametrize(
    ("loss", "metric", "ended"),
    [
        (0.04, 0.9, False),  # a loss near zero has doubled, and nothing else happened
        (0.04, 0.88, True),
        (0.01, 0.88, False),
        (0.01, 0.7, True),
        (0.04, 0.95, False),
    ],
)
def test_a_training_ends_worse_by_its_metric_or_by_both(loss, metric, ended):
    found = ended_worse(SHARE, Epoch(1, 0.01, 0.9, 0.1), Epoch(5, loss, metric, 0.0))
    assert (found is not None) == ended


def trained(**settings):
    recorder = Recorder()
    session = Session("train", 7, recorder)
    torch.manual_seed(3)
    values = iter([0.9, 0.6, 0.3])
    task = small_task(metrics={"accuracy": Measure(lambda outputs, targets: next(values))})
    fit(build_model(), task, TrainingSettings(epochs=3, batch_size=40, **settings), session)
    return recorder.messages, session.notes


def test_it_is_told_when_it_happens_and_kept_for_the_row():
    messages, notes = trained()
    assert messages == notes
    assert len(notes) == 1
    assert notes[0].startswith("training ended worse than it began, loss ")
    assert notes[0].endswith("and metric 30.00 % in epoch 3; a lower learning_rate may help")


def test_what_keeps_its_best_epoch_has_not_ended_worse():
    _, notes = trained(keep="best")
    assert len(notes) == 1
    assert notes[0].startswith("kept the best of 3 epochs, epoch 1")
