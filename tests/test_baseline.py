"""Training a baseline from a recipe: what is written is true, and a kill changes no byte of it."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix
from training import Recorder
from typer.testing import CliRunner

import edgesqueeze
from edgesqueeze.cli.main import app
from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.files import sha256_of
from edgesqueeze.run.recipe import Recipe, load_recipe, parse_recipe
from edgesqueeze.run.rundir import RunDir, new_run, open_run, read_report
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.training import answers

RECIPE = {
    "version": 1,
    "name": "base",
    "task": {
        "model": "lenet300_100",
        "data": {"named": "mnist_sample", "train_images": 400},
        "calibration_images": 32,
        "validation": 0.25,
    },
    "stages": [
        {"stage": "train", "epochs": 3, "learning_rate": 0.05, "batch_size": 32, "ema": 0.9, "keep": "best"},
        {"stage": "train", "epochs": 2, "learning_rate": 0.001, "optimizer": "adamw"},
        {"stage": "prune", "sparsity": 0.5},
    ],
    "exports": [],
    "references": [],
}


def recipe_with(**changes) -> Recipe:
    return parse_recipe({**RECIPE, **changes}, "test")


@pytest.fixture(scope="module")
def task():
    return load_task(recipe_with().task, 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The command's directory."""
    folder = tmp_path_factory.mktemp("baseline")
    (folder / "base.yaml").write_text(json.dumps(RECIPE))  # which is YAML too
    done = CliRunner().invoke(
        app, ["train", "--recipe", str(folder / "base.yaml"), "--output", str(folder / "out")]
    )
    assert done.exit_code == 0, done.output
    assert f"checkpoint: {folder / 'out' / 'model.safetensors'}" in done.output
    assert "train: epoch 3/3 loss" in done.output
    assert "validation accuracy" in done.output
    assert "Trained for 5 epochs" in done.output
    return folder / "out"


def test_the_report_is_of_the_checkpoint_on_disk(trained, task):
    path = trained / "model.safetensors"
    model = replace(task, checkpoint=path).initial_model()
    outputs, targets = answers(model, task.test)
    report = read_report(trained)
    row = report.rows[0]
    assert (row.label, row.path, row.simulated) == ("model.safetensors", "model.safetensors", False)
    assert row.metrics == task.score(outputs, targets)
    assert row.metrics["accuracy"] > 0.5
    assert row.num_bytes == path.stat().st_size
    assert row.interval.low < row.primary < row.interval.high
    assert row.notes[0].startswith("kept the best of 3 epochs, epoch ")
    assert row.params == sum(p.numel() for p in model.parameters())
    matrix = json.loads((trained / "confusion.json").read_text())
    assert matrix["counts"] == confusion_matrix(targets, outputs.argmax(1)).tolist()
    assert matrix["classes"] == [str(digit) for digit in range(10)]
    assert f"{100 * row.primary:.2f} %" in (trained / "report.md").read_text()


def test_no_number_of_the_report_is_taken_from_the_stage(trained, task, tmp_path):
    again = tmp_path / "out"
    shutil.copytree(trained, again)
    folder = RunDir(again).stage(2, "train")
    row = json.loads((folder.path / "row.json").read_text())
    changed = {
        "params": 7,
        "macs": 7,
        "runtime": "torch 0.1",
        "interval": {"low": 0.0, "high": 0.01},
        "details": {},
    }
    (folder.path / "row.json").write_text(json.dumps(row | changed))
    sealed = json.loads((folder.path / "fingerprint.json").read_text())
    sealed["files"]["row.json"] = sha256_of(folder.path / "row.json")
    (folder.path / "fingerprint.json").write_text(json.dumps(sealed))
    report = edgesqueeze.train(recipe_with(), task, RunDir(again))
    assert report.row == replace(read_report(trained).rows[0], notes=report.row.notes)


def test_a_stage_of_it_is_redone_with_what_was_made_of_it(trained, tmp_path):
    again = tmp_path / "out"
    shutil.copytree(trained, again)
    path = again / "stages" / "02-train" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    (again / "confusion.json").write_text("of the damaged state")
    arguments = ["train", "--resume", str(again)]
    assert "stage 02-train in " in str(CliRunner().invoke(app, arguments).exception)
    done = CliRunner().invoke(app, [*arguments, "--from", "02-train"])
    assert done.exit_code == 0, done.output
    assert "train: finished earlier" in done.output
    for name in ("model.safetensors", "history.json", "history.csv", "confusion.json"):
        assert (again / name).read_bytes() == (trained / name).read_bytes(), name


def test_compress_that_goes_on_from_it_does_not_leave_its_report(trained, task, tmp_path):
    again = tmp_path / "out"
    shutil.copytree(trained, again)
    RunDir(again).drop_outdated_report(complete=True)
    with pytest.raises(OutputError, match="holds no report.json; the run is not finished"):
        read_report(again)
    (again / "report.json").write_text("{}")
    RunDir(again).drop_outdated_report(complete=True)
    assert (again / "report.json").is_file()
    RunDir(again).drop_outdated_report(complete=False)
    assert not (again / "report.json").exists()
    (again / "report.json").write_text("[]")
    RunDir(again).drop_outdated_report(complete=True)
    assert not (again / "report.json").exists()


def test_the_curves_are_there_as_data_and_as_pictures(trained):
    history = json.loads((trained / "history.json").read_text())
    assert (history["metric"], history["split"]) == ("accuracy", "validation")
    assert [(row["stage"], row["number"]) for row in history["epochs"]] == [
        ("01-train", 1), ("01-train", 2), ("01-train", 3), ("02-train", 1), ("02-train", 2),
    ]  # fmt: skip
    assert json.loads((trained / "report.json").read_text())["training"] == history
    rows = list(csv.DictReader(io.StringIO((trained / "history.csv").read_text())))
    for row, epoch in zip(rows, history["epochs"], strict=True):
        assert float(row["loss"]) == epoch["loss"]
        assert float(row["validation_accuracy"]) == epoch["metric"]
        assert float(row["learning_rate"]) == epoch["learning_rate"]
    for name in ("history.png", "confusion.png"):
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 300
            assert np.asarray(picture.convert("L")).std() > 5


def test_compress_goes_on_from_it_with_the_same_bytes(trained, task, tmp_path):
    run = new_run(recipe_with(), tmp_path / "whole")
    whole = edgesqueeze.compress(recipe_with(), task, run)
    assert (run.stage(2, "train").model).read_bytes() == (trained / "model.safetensors").read_bytes()
    assert [row.label for row in whole.rows] == ["train", "train", "prune"]
    with pytest.raises(OutputError, match="whole holds a finished run of compress; choose another --output"):
        edgesqueeze.train(recipe_with(), task, run)
    assert json.loads((run.path / "report.json").read_text())["rows"][2]["label"] == "prune"


class KilledError(Exception):
    pass


class Killer(Recorder):
    def epoch(self, number, loss, metric):
        super().epoch(number, loss, metric)
        if len(self.epochs) == 4:  # in the second stage
            raise KilledError


def test_a_training_goes_on_in_its_second_stage_and_ends_with_the_same_files(trained, task, tmp_path):
    run = new_run(recipe_with(), tmp_path / "killed")
    with pytest.raises(KilledError):
        edgesqueeze.train(recipe_with(), task, run, Killer())
    assert run.stage(2, "train").training.exists()
    recorder = Recorder()
    report = edgesqueeze.train(recipe_with(), task, RunDir(run.path), recorder)
    assert [number for number, _, _ in recorder.epochs] == [2]
    assert recorder.messages == ["train: finished earlier"]
    for name in ("model.safetensors", "history.json", "history.csv", "confusion.json"):
        assert (run.path / name).read_bytes() == (trained / name).read_bytes(), name
    assert not list(run.path.rglob("training.pt"))
    again = edgesqueeze.train(recipe_with(), task, RunDir(run.path))  # complete: measured anew
    assert again.report == report.report
    assert again.history == report.history


@pytest.mark.slow
def test_a_training_that_was_killed_by_the_system_is_resumed_to_the_same_bytes(trained, tmp_path):
    code = (
        "import time; from pathlib import Path\n"
        "import edgesqueeze as e; from edgesqueeze.progress import SilentProgress\n"
        "class Slow(SilentProgress):\n"
        "    def epoch(self, number, loss, metric): time.sleep(0.2)\n"
        "import torch; torch.set_num_threads(1)\n"
        "run, recipe = e.open_run(Path('out'))\n"
        "e.train(recipe, e.load_task(recipe.task, 0), run, Slow())\n"
    )
    run = new_run(recipe_with(), tmp_path / "out")
    started = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    state = run.stage(1, "train").training
    while not state.exists():
        assert started.poll() is None
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not (run.path / "model.safetensors").exists()
    done = CliRunner().invoke(app, ["train", "--resume", str(run.path)])
    assert done.exit_code == 0, done.output
    assert "train: goes on behind epoch " in done.output
    for name in ("model.safetensors", "history.json", "confusion.json"):
        assert (run.path / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.slow
def test_tensorboard_is_told_of_every_epoch(tmp_path):
    (tmp_path / "base.yaml").write_text(json.dumps(RECIPE))
    code = (
        "import sys; sys.modules['tensorflow'] = None  # which tensorboard would load for nothing\n"
        "from edgesqueeze.cli.main import main\n"
        "sys.argv = 'edgesqueeze train --recipe base.yaml --output out --tensorboard events'.split()\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "found = EventAccumulator('events').Reload()\n"
        "for tag in found.Tags()['scalars']: print('tag', tag, *(e.step for e in found.Scalars(tag)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = sorted(line for line in done.stdout.splitlines() if line.startswith("tag "))
    of_file = [line for line in lines if line.startswith("tag model.safetensors/")]
    assert {"tag model.safetensors/accuracy 0", "tag model.safetensors/bytes 0"} <= set(of_file)
    names = ("learning_rate", "loss", "metric")
    assert lines[: -len(of_file)] == [f"tag 01-train/{name} 1 2 3" for name in names] + [
        f"tag 02-train/{name} 1 2" for name in names
    ]


def test_a_task_without_classes_or_validation_split_is_trained_too(tmp_path):
    x = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    split = edgesqueeze.task.ArraySplit(x, x)
    measure = edgesqueeze.task.Measure(lambda o, t: float(((o - t) ** 2).mean()), False, "number")
    task = edgesqueeze.Task(
        name="denoise",
        build_model=lambda: torch.nn.Conv2d(1, 1, 3, padding=1),
        train=split,
        calibration=split,
        test=split,
        example_input=x[:1],
        loss=torch.nn.functional.mse_loss,
        metrics={"mse": measure},
        fingerprint="f",
    )
    recipe = recipe_with(task="my:task", stages=[{"stage": "train", "epochs": 1}])
    report = edgesqueeze.train(recipe, task, new_run(recipe, tmp_path / "out"))
    assert report.confusion is None
    assert report.history.split is None
    assert report.history.epochs[-1][1].metric is None
    assert "(no validation split: history.csv)" in report.table("simple")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.safetensors", "history.png", "report.json"} <= names
    assert not {"confusion.png", "confusion.json"} & names


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ["stages=[{stage: prune, sparsity: 0.5}]"],
            "recipe 'base' begins with stage 'prune', so it says nothing",
        ),
        (
            ["stages=[]"],
            "begins with no stage, so it says nothing of how to train; put {stage: train, epochs: 10}",
        ),
        (["stages=[{stage: train}]"], "stages.train.epochs is 0, so there is nothing to train; at least 1"),
        (
            ["stages=[{stage: train, epochs: 1, unless_checkpoint: true}]", "task.checkpoint=CHECKPOINT"],
            "and the training says unless_checkpoint: leave one of the two out",
        ),
        (["task.validation=null"], "train.keep: best is judged on a validation split and 'lenet300_100 on "),
        (["task.validation=1.5"], "task.validation: found 1.5, should be less than 1"),
        (
            ["task.validation=0.001"],
            "a share of 0.001 of 400 training images leaves 400 of them to train on",
        ),
        (["task.calibration_images=301"], "calibration_images is 301, but the training split has only 300"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_is_written(
    settings, sentence, trained, tmp_path, capsys
):
    (tmp_path / "base.yaml").write_text(json.dumps(RECIPE))
    words = [s.replace("CHECKPOINT", str(trained / "model.safetensors")) for s in settings]
    options = [part for word in words for part in ("--set", word)]
    arguments = [
        "train",
        "--recipe",
        str(tmp_path / "base.yaml"),
        "--output",
        str(tmp_path / "out"),
        *options,
    ]
    done = CliRunner().invoke(app, arguments)
    assert sentence in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_tensorboard_is_refused_where_it_is_missing(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    done = CliRunner().invoke(app, ["train", "--recipe", "deep_compression", "--tensorboard", str(tmp_path)])
    assert isinstance(done.exception, RecipeError)
    assert "pip install 'edgesqueeze[tensorboard]'" in str(done.exception)


def test_a_run_is_resumed_with_its_own_recipe(trained):
    run, recipe = open_run(trained)
    assert recipe == load_recipe(str(run.path / "recipe.yaml"))
    done = CliRunner().invoke(app, ["train", "--resume", str(trained), "--set", "seed=1"])
    assert "leave --set out" in str(done.exception)
