"""Settings of a training that are refused, in one sentence each."""

import pytest
from small_task import small_task
from torch.nn import functional as F

from edgesqueeze.errors import RecipeError
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.task.training import TrainingSettings, check_training


def recipe(**stage):
    data = {"version": 1, "name": "r", "task": "small_task:small_task", "stages": [stage], "exports": []}
    return parse_recipe(data, "r.yaml")


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (
            {"optimizer": "rmsprop"},
            r"stages\[0\].optimizer: found 'rmsprop', should be 'sgd', 'adam' or 'adamw'",
        ),
        ({"epochs": 5, "warmup_epochs": 5}, "warmup_epochs is 5 of 5 epochs; fewer are allowed"),
        (
            {"epochs": 5, "warmup_epochs": 1, "schedule": "one_cycle"},
            "one_cycle warms up by itself; leave warmup_epochs out, or take another schedule",
        ),
        ({"ema": 1.0}, r"stages\[0\].ema: found 1.0, should be less than 1"),
        ({"early_stop": 0}, r"stages\[0\].early_stop: found 0, should be greater than or equal to 1"),
        ({"clip_norm": 0}, r"stages\[0\].clip_norm: found 0, should be greater than 0"),
        ({"label_smoothing": 1}, r"stages\[0\].label_smoothing: found 1, should be less than 1"),
        ({"keep": "first"}, "found 'first', should be 'last' or 'best'"),
        ({"stage": "prune", "sparsity": 0.5, "keep": "best"}, "keep: best takes one of several like epochs"),
        ({"stage": "qat", "early_stop": 2}, "early_stop takes one of several like epochs"),
        ({"stage": "squeeze", "price": 1, "ema": 0.9}, "ema cannot average grids that move while this stage"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_the_recipe(stage, sentence):
    with pytest.raises(RecipeError, match=sentence):
        recipe(**{"stage": "train", **stage})


def test_what_the_task_does_not_have_is_refused():
    task = small_task(loss=F.mse_loss, validation=None)
    for settings, sentence in (
        (
            {"label_smoothing": 0.1},
            "s.label_smoothing is for classification .* the loss of 'rows' is mse_loss",
        ),
        ({"keep": "best"}, "s.keep: best is judged on a validation split and 'rows' has none; set task.val"),
        ({"early_stop": 3, "keep": "best"}, "s.early_stop is judged on a validation split"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            check_training(TrainingSettings(**settings), task, "s")
        check_training(TrainingSettings(**settings), small_task(), "s")
