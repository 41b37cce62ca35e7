"""Images without labels: what is right is what the float network answered as it was given."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.errors import EdgeSqueezeError, RecipeError, TaskError
from edgesqueeze.importing.keras.load import keras_on_torch
from edgesqueeze.pipeline import check_fits, compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.fidelity import AnsweredImages
from edgesqueeze.task.loading import load_task

MODULE = """
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(8, 4)
    def forward(self, x):
        return self.last(torch.relu(self.first(x)).mean((2, 3)))

class Heads(Classifier):
    def forward(self, x):
        y = torch.relu(self.first(x))
        return {"map": y, "scores": self.last(y.mean((2, 3)))}
"""


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "unlabelled_networks", raising=False)
    (tmp_path / "unlabelled_networks.py").write_text(MODULE)
    rng = np.random.default_rng(0)
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    for index in range(40):
        pixels = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)).resize((20, 20))
        pixels.save(tmp_path / "pictures" / "deep" / f"{index}.png")
    return tmp_path


def recipe_of(stages=({"stage": "ptq", "method": "min_max"},), **settings):
    quantized = any(stage["stage"] == "ptq" for stage in stages)
    exports = [{"export": "tflite", "precision": ["int8"]}] if quantized else []
    task = {
        "model": "unlabelled_networks:Classifier",
        "preprocess": "0..1",
        "data": {"images": "pictures", "image_size": [16, 16]},
    } | settings
    content = {"version": 1, "name": "x", "task": task, "stages": list(stages), "exports": exports}
    return parse_recipe(content | {"references": []}, "test")


SQUEEZED = [{"export": "squeezed"}]


def keras_classifier(folder):
    keras = keras_on_torch()
    layers = [
        keras.Input((16, 16, 3)),
        keras.layers.Conv2D(4, 3, strides=2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    keras.Sequential(layers).save(folder / "net.keras")


@pytest.mark.parametrize(
    ("settings", "metric", "start"),
    [
        ({}, "agreement", "weights of unlabelled_networks:Classifier"),
        ({"model": "net.keras", "preprocess": "0..255"}, "agreement", "weights of net.keras"),
        (
            {"model": "unlabelled_networks:Heads", "kind": "detection"},
            "SQNR",
            "weights of unlabelled_networks:Heads",
        ),
    ],
)
def test_a_run_measures_fidelity_to_the_network_as_given(settings, metric, start, pictures):
    keras_classifier(pictures)
    recipe = recipe_of(**settings)
    run = new_run(recipe, pictures / "run")
    report = compress(recipe, load_task(recipe.task, recipe.seed), run)
    assert {row.primary_metric for row in report.rows} == set(report.rows[0].metrics) == {metric}
    assert report.rows[0].label == report.baseline == start
    best, point = (1.0, 0.05) if metric == "agreement" else (100.0, 80)
    assert report.rows[0].primary == best
    assert best - point <= report.rows[-1].primary <= best
    checks = {check.name: " ".join(check.lines()) for check in report.checks}
    assert metric in checks["fidelity"]
    assert metric in checks["enough images"]
    assert "accuracy" not in report.table("simple") + report.brief()
    again = compress(recipe, load_task(recipe.task, recipe.seed), run)
    assert [row.metrics for row in again.rows] == [row.metrics for row in report.rows]


def test_calibration_and_measurement_share_no_image(pictures):
    recipe = recipe_of(calibration_images=12)
    task = load_task(recipe.task, 0)
    calibrating, measuring = (
        {x.numpy().tobytes() for x in next(iter(split.batches(99)))[0]}
        for split in (task.calibration, task.test)
    )
    assert (len(calibrating), len(measuring)) == (12, 20)
    assert not calibrating & measuring


def test_what_is_right_does_not_depend_on_who_asks():
    torch.manual_seed(0)
    network = nn.Linear(5, 3).eval()
    x = torch.randn(150, 1, 5)
    split = AnsweredImages(ArraySplit(x, torch.zeros(150, 0)), network, "regression")
    next(iter(split.batches(1)))  # only what is asked for is computed
    found = torch.cat([y for _, y in split.batches(7)])
    assert torch.equal(found, torch.cat([y for _, y in split.batches(100)]))
    assert torch.allclose(found, network(x), atol=1e-6)
    with pytest.raises(TaskError, match="in their own order"):
        next(iter(split.batches(4, torch.Generator())))


@pytest.mark.parametrize(
    "stage",
    [
        {"stage": "train", "epochs": 1},
        {"stage": "prune", "sparsity": 0.5, "epochs": 1},
        {"stage": "squeeze", "price": 0.1, "epochs": 1},
        {"stage": "qat"},
    ],
)
def test_stages_that_need_labels_are_refused_before_anything_runs(stage, pictures):
    recipe = recipe_of(stages=[stage])
    with pytest.raises(RecipeError, match=f"stage '{stage['stage']}' needs labels, and the images of"):
        check_fits(recipe, load_task(recipe.task, 0))


def test_stages_that_need_none_are_not_refused(pictures):
    stages = [
        {"stage": "prune", "sparsity": 0.5},
        {"stage": "squeeze", "price": 0.1},
        {"stage": "qat", "distill": 1, "epochs": 1},
    ]
    recipe = recipe_of(stages=stages)
    check_fits(recipe, load_task(recipe.task, 0))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"preprocess": None}, "images without labels cannot show whether pixels are what the network takes"),
        ({"model": "unlabelled_networks:Heads"}, "agreement needs one tensor of class scores"),
        ({"data": {"images": "few", "image_size": [16, 16]}}, "few has 3 images, at least 32 needed"),
        (
            {"data": {"images": "pictures", "image_size": [16, 16], "mean": [0.5], "std": [0.5]}},
            "mean has 1 values, channels is 3",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(settings, sentence, pictures):
    (pictures / "few").mkdir()
    for index in range(3):
        Image.new("RGB", (9, 9)).save(pictures / "few" / f"{index}.png")
    with pytest.raises(EdgeSqueezeError) as refused:
        load_task(recipe_of(stages=(), **settings).task, 0)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_validation_split_without_labels_is_for_a_search_alone(pictures):
    recipe = recipe_of(validation=0.5)
    with pytest.raises(
        RecipeError, match="task.validation judges epochs by labels, and the images have none"
    ):
        check_fits(recipe, load_task(recipe.task, 0))
    search = {"stage": "squeeze", "price": "auto", "max_drop": 25}
    recipe = parse_recipe(recipe.model_dump(mode="json") | {"stages": [search], "exports": SQUEEZED}, "test")
    task = load_task(recipe.task, 0)
    check_fits(recipe, task)
    images = [
        {x.numpy().tobytes() for x in next(iter(split.batches(99)))[0]}
        for split in (task.calibration, task.validation, task.test)
    ]
    assert [len(found) for found in images] == [10, 10, 20]
    assert len(set.union(*images)) == 40
    (_, answers) = next(iter(task.validation.batches(99)))
    network = task.initial_model().eval()
    assert torch.equal(answers, network(next(iter(task.validation.batches(99)))[0]).argmax(1))


def test_an_sqnr_has_no_drop(pictures):
    recipe = recipe_of(kind="regression").model_copy(update={"max_drop": 1.0})
    with pytest.raises(RecipeError, match="leave it out for an SQNR"):
        check_fits(recipe, load_task(recipe.task, 0))
