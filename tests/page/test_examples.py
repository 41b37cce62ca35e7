"""Test images on the page: what is right, and what the float file and the int8 file say."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from edgesqueeze.errors import OutputError
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.page.examples import examples_of
from edgesqueeze.page.write import write_page
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task

RECIPE = {
    "version": 1,
    "name": "small",
    "task": {"model": "lenet300_100", "data": "mnist_sample", "calibration_images": 16},
    "stages": [{"stage": "ptq", "method": "min_max"}],
    "exports": [{"export": "tflite", "precision": ["fp32", "int8"]}],
    "references": [],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recipe = parse_recipe(RECIPE, "test")
    run, task = new_run(recipe, tmp_path_factory.mktemp("run") / "small"), load_task(recipe.task, 0)
    compress(recipe, task, run)
    return run, task


def test_examples_are_what_the_files_say(finished):
    run, task = finished
    found = examples_of(run.path, 8)
    x, targets = next(iter(task.test.batches(512)))
    said = {
        name: load_model(run.artifacts / name).predict(x.numpy()).argmax(1)
        for name in ("model.tflite", "model_int8.tflite")
    }
    differing = np.flatnonzero(said["model.tflite"] != said["model_int8.tflite"]).tolist()[:4]
    assert [one.number for one in found[: len(differing)]] == differing
    assert len({one.number for one in found}) == 8
    for one in found:
        truth, *answers = one.answers
        assert (truth.who, truth.text) == ("right", str(targets[one.number].item()))
        for answer in answers:
            assert answer.text == str(said[answer.who][one.number])
            assert answer.right == (answer.text == truth.text)
        drawn = np.asarray(Image.open(io.BytesIO(one.pictures[0])).convert("L").resize((28, 28), 0))
        pixels = task.normalization.pixels(x[one.number : one.number + 1].numpy())[0, 0]
        assert np.abs(drawn.astype(int) - pixels).max() <= 2  # 256 colours


def test_the_page_has_them_where_it_is_asked_to(finished, tmp_path):
    run, _ = finished
    plain = write_page([run.path], tmp_path / "plain.html").read_text()
    assert "<img" not in plain
    assert "img-src" not in plain
    page = write_page([run.path], tmp_path / "page.html", images=3).read_text()
    pictures = re.findall(r'<img class="photo" alt="([^"]+)" src="data:image/png;base64,([^"]+)">', page)
    assert len(pictures) == page.count("<img") == 3
    assert all("model_int8.tflite: " in said for said, _ in pictures)
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for _, data in pictures)
    assert "; img-src data:" in page


def test_a_run_without_files_that_run_is_refused(finished, tmp_path):
    run, _ = finished
    for path in run.artifacts.iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(OutputError, match="has none of model.onnx, model.tflite, model_int8.tflite"):
        examples_of(run.path, 3)
