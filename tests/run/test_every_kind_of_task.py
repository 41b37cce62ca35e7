"""A small run of each kind of task: metrics of the files, intervals and tests that fit, tables that say so."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from edgesqueeze.data.splits import ArraySplit, DatasetSplit
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.numerics.bootstrap import BootstrapTest
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run, read_report
from edgesqueeze.task import Task, metrics_of

pytestmark = pytest.mark.slow  # whole runs

SIDE, CLASSES = 12, ("dark", "bright")
RECIPE = {
    "version": 1,
    "name": "kinds",
    "task": "kinds:build_task",
    "stages": [{"stage": "ptq", "method": "min_max"}],
    "exports": [{"export": "onnx", "precision": ["fp32", "int8"]}],
    "references": [],
}


@dataclass(frozen=True)
class Found:
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class WholePicture:
    """Every place sees the whole picture, by the class of its better score."""

    max_detections = 1

    def decode(self, outputs):
        scores = outputs["scores"].max(axis=1)
        box = np.array([[0, 0, SIDE, SIDE]], np.float32)
        return [Found(box, row.max(keepdims=True), np.array([row.argmax()])) for row in scores]


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.sides = nn.Conv2d(1, 2, 3, 4, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x):
        scores = self.body(x)
        boxes = torch.relu(self.sides(scores))
        return {"boxes": boxes.flatten(2).transpose(1, 2), "scores": scores.flatten(2).transpose(1, 2)}


class Boxes(torch.utils.data.Dataset):
    """One box an image, over all of it."""

    def __init__(self, x, labels):
        self.x, self.labels = x, labels

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        box = torch.tensor([[0.0, 0.0, SIDE, SIDE]])
        return self.x[i], {
            "boxes": box,
            "labels": self.labels[i, None],
            "crowd": torch.zeros(1, dtype=torch.bool),
        }


def pictures(kind):
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(64, 1, 1, 1, generator=generator)
    x = (level + 0.2 * torch.randn(64, 1, SIDE, SIDE, generator=generator)).clamp(0, 1)
    match kind:
        case "detection":
            return DatasetSplit(Boxes(x, (x.mean((1, 2, 3)) > 0.5).long())), x
        case "segmentation":
            return ArraySplit(x, (x[:, 0] > 0.5).long()), x
        case "reconstruction":
            return ArraySplit(x, x), x
        case _:
            return ArraySplit(x, x.mean((2, 3))), x


def build_model(kind):
    torch.manual_seed(0)
    match kind:
        case "detection":
            return Detector()
        case "segmentation":
            return nn.Conv2d(1, 2, 3, padding=1)
        case "reconstruction":
            return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
        case _:
            return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1))


def task_of(kind):
    split, x = pictures(kind)
    return Task(
        name=kind,
        build_model=lambda: build_model(kind),
        train=split,
        calibration=split.first(32),
        test=split,
        example_input=x[:1],
        loss=nn.functional.mse_loss,
        metrics=metrics_of(kind, CLASSES, WholePicture()),
        fingerprint="seed 0",
        kind=kind,
        classes=CLASSES if kind in ("detection", "segmentation") else (),
    )


@pytest.mark.parametrize(
    ("kind", "primary", "said"),
    [
        ("detection", "mAP@[.5:.95]", "change in points"),
        ("segmentation", "mIoU", "change in points"),
        ("reconstruction", "PSNR", "change in dB"),
        ("regression", "MAE", "change as it is, less is better"),
    ],
)
def test_a_task_of_any_kind_is_measured_from_its_files(kind, primary, said, tmp_path):
    task = task_of(kind)
    run = new_run(parse_recipe(RECIPE, "test"), tmp_path / "run")
    report = compress(parse_recipe(RECIPE, "test"), task, run)
    rows = {row.label: row for row in report.rows}
    assert list(rows) == ["random weights", "ptq", "model.onnx", "model_int8.onnx"]
    whole, wanted = next(iter(task.test.batches(64)))
    file = load_onnx(run.artifacts / "model_int8.onnx")
    answers = file.predict_all(whole.numpy())
    outputs = answers if kind == "detection" else next(iter(answers.values()))
    targets = {name: part.numpy() for name, part in wanted.items()} if kind == "detection" else wanted.numpy()
    assert rows["model_int8.onnx"].metrics == pytest.approx(task.score(outputs, targets))
    for row in report.rows:
        assert row.primary_metric == primary == task.primary_metric
        assert row.interval.low <= row.primary <= row.interval.high
    test = rows["model_int8.onnx"].paired
    assert isinstance(test, BootstrapTest)
    assert test.change == pytest.approx(rows["model_int8.onnx"].primary - rows["random weights"].primary)
    assert test == rows["ptq"].paired
    assert rows["model.onnx"].metric_change == pytest.approx(0, abs=1e-5)
    accuracy = next(check for check in report.checks if check.name == "accuracy")
    assert accuracy.status == "ok"
    assert all(row.details["variety"]["wanted"] > 0 for row in report.rows)
    text = (run.path / "report.md").read_text()
    assert said in text
    assert "95 % bootstrap interval" in text
    assert report.checks[-1].status in ("ok", "cannot tell")
    assert read_report(run.path) == report
