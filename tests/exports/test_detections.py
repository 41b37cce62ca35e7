"""``detections: true``: files that find boxes themselves, held to their network's, in the table."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgesqueeze.errors import ParityError, RecipeError
from edgesqueeze.exports.base import Artifact
from edgesqueeze.exports.detections import check_detections, raw_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task

SCENES = {"scenes": {"items": "mnist_sample", "image_size": [64, 64], "train": 24, "test": 12}}


def recipe_of(task, **changes):
    exports = [
        {"export": "onnx", "precision": ["fp32", "int8"], "detections": True},
        {"export": "tflite", "precision": ["int8"], "detections": True, "input": "uint8"},
    ]
    known = {"version": 1, "name": "boxes", "seed": 0, "references": [], "stages": [], "exports": exports}
    return parse_recipe(known | {"task": task} | changes, "test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    task = {
        "model": "two_levels:TwoLevels",
        "model_args": {"num_classes": 10},
        "kind": "detection",
        "data": SCENES,
        "calibration_images": 16,
    }
    recipe = recipe_of(task, stages=[{"stage": "ptq", "method": "min_max"}])
    run = new_run(recipe, tmp_path_factory.mktemp("boxes") / "run")
    task = load_task(recipe.task, 0)
    return task, run, compress(recipe, task, run)


@pytest.mark.slow
def test_the_files_have_rows_with_the_metric_of_their_network(finished):
    _, run, report = finished
    rows = {row.label: row for row in report.rows}
    for name in ("model.onnx", "model_int8.onnx", "model_int8.tflite"):
        raw, whole = rows[name], rows[name.replace(".", "_detections.")]
        assert (run.path / whole.path).stat().st_size == whole.num_bytes > raw.num_bytes
        assert whole.metrics == pytest.approx(raw.metrics, abs=2e-3)
        assert whole.latency is not None
        assert whole.interval is not None
    for name in ("model_int8.tflite", "model_int8_detections.tflite"):
        assert "uint8 NHWC [1, 64, 64, 3], pixels 0 to 255" in report.inputs[name][0]


@pytest.mark.slow
def test_a_file_that_finds_other_boxes_is_caught(finished, tmp_path):
    task, run, _ = finished
    ((x, _),) = task.test.batches(12)
    path = run.artifacts / "model_detections.onnx"
    whole = Artifact(FileFormat.ONNX, "fp32", path, 0, "")
    check_detections(whole, task.decoding, x.numpy())
    assert sum(load_model(path).predict_all(x.numpy())["count"]) > 100
    model = onnx.load(path)
    limit = next(t for t in model.graph.initializer if t.name == "iou/found")
    limit.CopyFrom(onnx.numpy_helper.from_array(np.array([0.3], np.float32), limit.name))
    broken = tmp_path / "model_detections.onnx"
    onnx.save(model, broken)
    (tmp_path / "model.onnx").write_bytes(raw_file(whole).path.read_bytes())
    with pytest.raises(
        ParityError, match="does not find the boxes that its network finds, in .* of 12 images"
    ):
        check_detections(replace(whole, path=broken), task.decoding, x.numpy())


def test_detections_of_another_task_are_refused(tmp_path):
    recipe = recipe_of(
        {"model": "lenet5", "data": "mnist_sample"}, exports=[{"export": "onnx", "detections": True}]
    )
    with pytest.raises(RecipeError, match="for detectors, the task is classification"):
        compress(recipe, load_task(recipe.task, 0), new_run(recipe, tmp_path / "run"))
