"""LeNet-5 on digits, ruined in three ways: the check says so, and by which stage; the stage says so at once."""

from dataclasses import replace

import pytest
from training import Recorder

from edgesqueeze.compression.stages import Train
from edgesqueeze.compression.state import state_of
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.training import Session

pytestmark = pytest.mark.slow  # whole runs

EXPORTS = [{"export": "onnx", "precision": ["fp32", "int8"]}]
PTQ = {"stage": "ptq", "method": "min_max"}
GENTLE = {"stage": "prune", "sparsity": 0.5, "epochs": 1}


@pytest.fixture(scope="module")
def trained(lenet_task, tmp_path_factory):
    """The task with a checkpoint that has nine in ten digits right."""
    session = Session("train", 1, Recorder())
    model = Train(epochs=4, batch_size=32, learning_rate=0.05).apply(
        lenet_task.initial_model(), lenet_task, session
    )
    path = tmp_path_factory.mktemp("trained") / "lenet5.safetensors"
    path.write_bytes(state_of(model).save())
    return replace(lenet_task, checkpoint=path)


def compressed(task, folder, *stages, **more):
    recipe = {
        "version": 1,
        "name": "r",
        "task": {"model": "lenet5", "data": "mnist_sample"},
        "references": [],
    }
    parsed = parse_recipe({**recipe, "stages": list(stages), "exports": EXPORTS, **more}, "test")
    recorder = Recorder()
    report = compress(parsed, task, new_run(parsed, folder / "run"), recorder)
    return next(c for c in report.checks if c.name == "accuracy"), report, recorder.messages


@pytest.mark.parametrize(
    ("stages", "name"),
    [
        (({"stage": "prune", "sparsity": 0.9999, "epochs": 1}, PTQ), "01-prune"),
        (({"stage": "qat", "epochs": 1, "learning_rate": 1.0},), "01-qat"),
        (({"stage": "squeeze", "epochs": 0, "price": 0.5}, PTQ), "01-squeeze"),
    ],
)
def test_the_check_fires_and_names_the_stage(stages, name, trained, tmp_path):
    check, report, messages = compressed(trained, tmp_path, *stages)
    assert check.status == "fired"
    assert sorted(file for f in check.faults for file in f.what.split(": ")[0].split(", ")) == [
        "model.onnx",
        "model_int8.onnx",
    ]
    assert all(f" {name} lost it: 9" in fault.what for fault in check.faults)
    stage = name.partition("-")[2]
    notes = next(row.notes for row in report.rows if row.label == stage)
    told = [note for note in notes if note.startswith(f"{stage!r} leaves a network far worse")]
    assert len(told) == 1
    assert told[0] in messages


def test_a_network_that_still_works_is_left_alone(trained, tmp_path):
    check, report, messages = compressed(trained, tmp_path, GENTLE, PTQ)
    assert check.status == "ok"
    assert check.passed.startswith("no file has lost more than 1.00 points of accuracy against 'checkpoint")
    assert check.passed.endswith(
        ", none answers all images alike, no class has lost more than 10 points of its recall"
    )
    assert not any("far worse" in message for message in messages)
    varied = [row.details["variety"] for row in report.rows]
    assert all(0.8 < found["found"] < 0.95 and 0.8 < found["wanted"] < 0.95 for found in varied)
