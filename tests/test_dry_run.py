"""What a run would do is told without a trace of it."""

from dataclasses import replace

import pytest
from tiny import LogGamma
from torch import nn

from edgesqueeze.dry_run import dry_run
from edgesqueeze.errors import RecipeError, UnsupportedLayerError
from edgesqueeze.run.expected_time import ExpectedTime
from edgesqueeze.run.recipe import parse_recipe

RECIPE = {
    "version": 1,
    "name": "small",
    "task": "tiny:build_task",
    "stages": [
        {"stage": "train", "epochs": 3},
        {"stage": "prune", "sparsity": 0.5},
        {"stage": "ptq", "keep_float": ["same"]},
    ],
    "exports": [
        {"export": "squeezed"},
        {"export": "onnx", "precision": ["fp32", "int8"]},
        {"export": "tflite", "precision": ["fp32", "int8"]},
    ],
    "references": ["lenet5"],
}


def recipe_of(**changes):
    return parse_recipe({**RECIPE, **changes}, "test")


def test_everything_is_told_and_nothing_is_left(tiny_task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = dry_run(recipe_of(), tiny_task)
    assert not list(tmp_path.iterdir())
    lines = found.text().splitlines()
    assert max(map(len, lines)) <= 100
    text = " ".join(found.text().split())
    for said in (
        "tiny: 914 parameters, 35,656 MACs, 4 layers with weights or products, from random weights",
        "256 training, no validation, 100 test and 32 calibration images; 10 classes",
        "stage 1 train: 3 epochs of 2 steps; ",
        "stage 2 prune: no training stage 3 ptq: no training",
        "exports squeezed fp32; onnx fp32, int8; tflite fp32, int8",
        "in float model_int8.onnx: Conv (same); Max (same) in float model_int8.tflite: CONV_2D (same)",
        "references lenet5",
        "of training: an estimate from a few batches of every stage on this machine",
    ):
        assert said in text
    assert [time is None for time in found.times] == [False, True, True]


def test_times_are_summed_and_rounded(tiny_task):
    found = dry_run(recipe_of(stages=[], exports=[]), tiny_task)
    assert found.counts is None
    text = found.text()
    assert "network     tiny: 938 parameters, from random weights" in text
    assert "exports     none" in text
    assert "nothing is trained" in text
    time = ExpectedTime(epochs=10, steps=100, before_s=60, step_s=1.0, judging_s=20)
    stages = recipe_of(stages=[{"stage": "train", "epochs": 10}], exports=[]).stages
    text = replace(found, stages=stages, times=(time,)).text()
    assert "10 epochs of 100 steps; 60 s before the first, 2 min an epoch, 21 min in all" in text
    assert "about 21 min of training" in text


def test_what_compress_refuses_is_refused(tiny_task):
    with pytest.raises(RecipeError, match="'cnv' names no layer"):
        dry_run(recipe_of(stages=[{"stage": "prune", "sparsity": {"cnv": 0.5}}], exports=[]), tiny_task)


def test_a_network_that_cannot_be_read_is_refused(tiny_task):
    odd = nn.Sequential(nn.Conv2d(1, 4, 3, stride=4), LogGamma(), nn.Flatten(), nn.Linear(196, 10))
    with pytest.raises(UnsupportedLayerError, match="lgamma"):
        dry_run(recipe_of(stages=[{"stage": "ptq"}]), replace(tiny_task, build_model=lambda: odd))
