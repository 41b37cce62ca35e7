"""A stranger's model, from YAML alone: a torchvision network and a folder of pictures."""

import numpy as np
import pytest
from PIL import Image

from edgesqueeze.errors import TaskError, UnsupportedLayerError
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task

RECIPE = """
version: 1
name: own
task:
  model: "{model}"
  model_args: {{num_classes: {classes}}}
  data: {{image_folder: {folder}, image_size: [64, 64], mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}}
  calibration_images: 8
stages:
  - {{stage: train, epochs: 1, batch_size: 8, learning_rate: 0.01}}
  - {{stage: prune, sparsity: {{"{layers}": 0.6, "*": 0.1}}, epochs: 1, batch_size: 8}}
exports:
  - {{export: onnx}}
  - {{export: tflite}}
  - {{export: squeezed}}
references: []
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stripes across, stripes down: two classes of real files."""
    folder = tmp_path_factory.mktemp("stripes")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 8)):
        for name in ("across", "down"):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                wave = 127 + 100 * np.sin(np.arange(64) / rng.uniform(1, 3))
                picture = np.repeat(wave[:, None], 64, axis=1) + rng.normal(0, 10, (64, 64))
                picture = picture if name == "across" else picture.T
                Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(
                    folder / split / name / f"{index}.png"
                )
    return folder


def recipe_for(model, classes, folder, tmp_path, layers="layer*"):
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.format(model=model, classes=classes, folder=folder, layers=layers))
    return load_recipe(str(path))


@pytest.mark.slow
def test_a_squeezenet_through_pruning_and_float_export(folder, tmp_path):
    recipe = recipe_for("torchvision.models:squeezenet1_1", 2, folder, tmp_path, "features*")
    report = compress(recipe, load_task(recipe.task, 0), new_run(recipe, tmp_path / "run"))
    rows = {row.label: row for row in report.rows}
    assert set(rows) == {"train", "prune", "model.onnx", "model.tflite", "model.sqz"}
    assert rows["model.onnx"].metrics == rows["model.tflite"].metrics == rows["prune"].metrics
    assert rows["model.sqz"].compression_ratio > 1.5
    assert rows["model.onnx"].macs == rows["prune"].macs


def test_a_model_for_other_classes_is_refused(folder, tmp_path):
    recipe = recipe_for("torchvision.models:resnet18", 5, folder, tmp_path)
    with pytest.raises(TaskError, match=r"5\].*2 classes.*num_classes: 2"):
        load_task(recipe.task, 0)


def test_a_model_the_graph_does_not_reach_is_refused_before_training(folder, tmp_path):
    recipe = recipe_for("tiny:OddNet", 2, folder, tmp_path)
    recipe = recipe.model_copy(update={"stages": recipe.stages[:1]})
    with pytest.raises(UnsupportedLayerError, match="operation 'lgamma' in layer 'act' .*is not supported"):
        compress(recipe, load_task(recipe.task, 0), new_run(recipe, tmp_path / "run"))
