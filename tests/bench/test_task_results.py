"""Tables and pictures of finished runs of a task."""

import json
import sys
from functools import cache

import numpy as np
import pytest
from PIL import Image

from bench import task_pictures, task_table
from edgesqueeze.page.write import write_page
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task

SCENES = {"scenes": {"items": "mnist_sample", "image_size": [64, 64], "train": 16, "test": 8}}
TASKS = {
    "reconstruction": {"model": "autoencoder_dense", "data": {"named": "mnist_sample", "train_images": 64}},
    "detection": {
        "model": "two_levels:TwoLevels",
        "model_args": {"num_classes": 10},
        "kind": "detection",
        "data": SCENES,
    },
    "segmentation": {"model": "squeezenet_segmenter", "model_args": {"width": 0.25}, "data": SCENES},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of each kind, made when it is first asked for."""

    @cache
    def run_of(kind):
        known = {
            "version": 1,
            "name": kind,
            "seed": 0,
            "references": [],
            "task": TASKS[kind] | {"calibration_images": 16},
            "stages": [{"stage": "ptq", "method": "min_max"}],
            "exports": [{"export": "tflite", "precision": ["fp32", "int8"]}],
        }
        recipe = parse_recipe(known, "test")
        run = new_run(recipe, tmp_path_factory.mktemp(kind) / "run")
        return run, compress(recipe, load_task(recipe.task, 0), run)

    return run_of


@pytest.fixture
def script(monkeypatch):
    """A script of bench with these words on its command line."""

    def call(module, *words):
        monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, words)])
        module.main()

    return call


@pytest.mark.slow
def test_a_table_has_the_numbers_of_the_reports(finished, script, tmp_path):
    run, report = finished("reconstruction")
    script(task_table, "--run", f"PTQ={run.path}", "--run", f"again={run.path}", "--output", tmp_path / "t")
    text = (tmp_path / "t" / "report.md").read_text()
    rows = {row.label: row for row in report.rows}
    (line,) = [line for line in text.splitlines() if line.startswith("| PTQ") and "model_int8.tflite" in line]
    cells = [cell.strip() for cell in line.split("|")]
    int8, base = rows["model_int8.tflite"], rows[report.baseline]
    assert cells[3].startswith(f"{int8.primary:.2f} [")
    assert cells[4] == f"{int8.primary - base.primary:+.3f}"
    assert f"{int8.num_bytes:,}" in cells
    assert text.count("| float") == 1
    data = json.loads((tmp_path / "t" / "report.json").read_text())
    assert [one["label"] for one in data["runs"]] == ["PTQ", "again"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", TASKS)
def test_a_picture_shows_what_the_file_answers_below_what_is_right(kind, finished, script, tmp_path):
    run, _ = finished(kind)
    script(task_pictures, "--run", run.path, "--output", tmp_path / "p.png", "--images", 3)
    drawn = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    side = 168 if kind == "reconstruction" else 192
    assert drawn.shape == (2 * (side + 4) + 4, 3 * (side + 4) + 4, 3)
    right, found = drawn[4 : 4 + side, 4 : 4 + side], drawn[8 + side : 8 + 2 * side, 4 : 4 + side]
    assert right.std() > 5
    assert (right != found).mean() > 0.01
    page = write_page([run.path], tmp_path / "page.html", images=3).read_text()
    assert page.count('<img class="photo"') == 3 * 3  # what is right, in float, in int8
