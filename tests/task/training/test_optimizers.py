"""The learning rate of every step."""

import math

import pytest
from small_task import build_model

from edgesqueeze.task.training.optimizers import make_optimizer, make_scheduler
from edgesqueeze.task.training.settings import TrainingSettings


def rates(steps, **settings):
    settings = TrainingSettings(learning_rate=0.8, **settings)
    optimizer = make_optimizer(build_model(), settings)
    scheduler = make_scheduler(optimizer, settings, steps)
    found = []
    for _ in range(settings.epochs * steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_rate_grows_in_a_line_and_then_follows_the_schedule(schedule):
    found, last = rates(2, epochs=5, warmup_epochs=2, schedule=schedule)
    assert found[:4] == pytest.approx([0.16, 0.32, 0.48, 0.64])
    falling = [0.4 * (1 + math.cos(math.pi * step / 6)) for step in range(7)]
    want = falling if schedule == "cosine" else [0.8] * 7
    assert [*found[4:], last] == pytest.approx(want)


def test_without_warm_up_the_first_step_has_the_highest_rate():
    assert rates(2, epochs=2)[0][0] == 0.8
