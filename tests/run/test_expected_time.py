"""The time of a stage is told from a few of its own batches."""

from dataclasses import replace

import pytest
from pydantic import TypeAdapter
from torch.nn import functional as F

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.run.expected_time import ExpectedTime, expected_time

STAGES = TypeAdapter(AnyStage)


def timed(task, **settings):
    """The expected time of a stage, and how many batches were trained for it."""
    trained = []

    def loss(outputs, targets):
        trained.append(len(targets))
        return F.cross_entropy(outputs, targets)

    found = expected_time(STAGES.validate_python(settings), replace(task, loss=loss), seed=0)
    return found, len(trained)


@pytest.mark.parametrize(
    ("settings", "steps", "trained"),
    [
        ({"stage": "train", "epochs": 30, "batch_size": 16}, 16, 6),
        ({"stage": "prune", "sparsity": 0.5, "epochs": 7, "batch_size": 128}, 2, 2),
        ({"stage": "train", "epochs": 5, "batch_size": 500}, 1, 1),
        ({"stage": "qat", "epochs": 4, "batch_size": 16}, 16, 6),
    ],
    ids=lambda value: value["stage"] if isinstance(value, dict) else "",
)
def test_a_few_batches_are_trained_for_many(settings, steps, trained, tiny_task):
    found, batches = timed(tiny_task, **settings)
    assert (found.epochs, found.steps) == (settings["epochs"], steps)
    assert batches == trained
    assert found.step_s > 0
    assert found.judging_s == 0  # no validation split
    assert found.before_s > 0


def test_judging_is_timed_where_there_is_a_validation_split(tiny_task):
    task = replace(tiny_task, validation=tiny_task.test.first(32))
    assert timed(task, stage="train", epochs=1, batch_size=128)[0].judging_s > 0


def test_the_parts_are_summed():
    found = ExpectedTime(epochs=3, steps=10, before_s=5.0, step_s=0.5, judging_s=2.0)
    assert found.epoch_s == 7.0
    assert found.total_s == 26.0


@pytest.mark.parametrize("settings", [{"stage": "ptq"}, {"stage": "prune", "sparsity": 0.5}])
def test_a_stage_that_does_not_train_has_none(settings, tiny_task):
    assert timed(tiny_task, **settings) == (None, 0)
