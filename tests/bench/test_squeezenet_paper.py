"""The SqueezeNet paper's table: every stage fits its network, every line is of the file it names."""

from argparse import Namespace
from dataclasses import replace

import pytest

from bench import squeezenet_paper
from bench.squeezenet_paper import MODELS, PAPER, report_of, runs_of
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.numerics.proportions import Interval
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Every recipe of every network, and a report made up for it in place of hours of training."""
    recipes = {}

    def finished(folder, recipe):
        recipes[folder.relative_to(tmp_path).as_posix()] = recipe
        return made_up(recipe)

    monkeypatch.setattr(squeezenet_paper, "finished", finished)
    arguments = Namespace(work=tmp_path, train_images=100, epochs=1, only=None)
    return recipes, {model: runs_of(model, arguments) for model in MODELS}


def made_up(recipe):
    size = 1000 * (1 + MODELS.index(recipe.task.model))
    row = Row(
        label="start",
        path="file",
        runtime="litert",
        simulated=False,
        metrics={"accuracy": 0.9, "top-5": 0.99, "precision": 0.8, "recall": 0.7, "F1": 0.6},
        primary_metric="accuracy",
        params=size,
        nonzero_params=size,
        macs=2 * size,
        effective_macs=size,
        num_bytes=size,
        compression_ratio=None,
        metric_change=None,
        latency=Latency(0.001, 0.0009, 0.0011, 50, 1, 1, 5),
        interval=Interval(0.89, 0.91),
    )
    files = {"model.onnx": 4, "model.tflite": 4, "model_int8.tflite": 1, "model.sqz": 0.1}
    rows = [replace(row, label=label, num_bytes=round(size * share)) for label, share in files.items()]
    return Report({}, {}, "start", 10_000, (row, *rows), ())


def test_every_stage_fits_its_network(asked):
    recipes, _ = asked
    assert len(recipes) == 2 * 2 + 5 * 3
    for recipe in recipes.values():
        entry = BUILT_IN_MODELS[recipe.task.model]
        lenet = recipe.task.model not in PAPER
        model = entry.build(10, 1 if lenet else 3, (28, 28) if lenet else (96, 96), {})
        for stage in recipe.stages:
            stage.check(model)


def test_the_tables_name_the_file_that_counts(asked):
    _, found = asked
    _, _, _, progression, _, _, paper = report_of(found)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in progression.splitlines()[2:]]
    assert [(line[0], line[3]) for line in lines] == [
        (model, file) for model in MODELS for file in ("model.tflite", "model_int8.tflite")
    ]
    assert lines[1][1:5] == ["1,000", "2,000", "model_int8.tflite", "1,000"]
    assert lines[1][5:] == ["90.00 %", "80.00 %", "70.00 %", "60.00 %", "1.000 [0.900–1.100]"]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in paper.splitlines()[2:]]
    assert [line[0] for line in lines] == [model for model in PAPER for _ in range(5)]
    assert [line[1] for line in lines[:5]] == [
        "float",
        "int8",
        "Deep Compression, 8 bit",
        "Deep Compression, 6 bit",
        "squeeze",
    ]
    # AlexNet's float file is 12,000 bytes, SqueezeNet 1.1's squeezed one 500
    assert lines[0][3:5] == ["12,000", "1.0×"]
    assert lines[-1][2:6] == ["model.sqz, litert", "500", "24.0×", "90.00 % [89.00–91.00]"]


def test_several_processes_share_the_methods(asked, tmp_path):
    recipes, _ = asked
    recipes.clear()
    runs_of("alexnet", Namespace(work=tmp_path, train_images=100, epochs=1, only=["squeeze", "int8"]))
    assert set(recipes) == {"alexnet/squeeze", "alexnet/int8"}
