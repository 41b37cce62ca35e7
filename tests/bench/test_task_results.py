"""Tables and pictures of finished runs of a task."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task

ROOT = Path(__file__).parents[2]
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


def finished(kind, folder):
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
    run = new_run(recipe, folder / "run")
    return run, compress(recipe, load_task(recipe.task, 0), run)


def script(name, *words):
    words = [sys.executable, "-m", f"bench.{name}", *map(str, words)]
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'shared'}", "PATH": ""}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_table_has_the_numbers_of_the_reports(tmp_path):
    run, report = finished("reconstruction", tmp_path)
    script("task_table", "--run", f"PTQ={run.path}", "--run", f"again={run.path}", "--output", tmp_path / "t")
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
def test_a_picture_shows_what_the_file_answers_below_what_is_right(kind, tmp_path):
    run, _ = finished(kind, tmp_path)
    script("task_pictures", "--run", run.path, "--output", tmp_path / "p.png", "--images", 3)
    drawn = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    side = 56 if kind == "reconstruction" else 128
    assert drawn.shape == (2 * (side + 4) + 4, 3 * (side + 4) + 4, 3)
    right, found = drawn[4 : 4 + side, 4 : 4 + side], drawn[8 + side : 8 + 2 * side, 4 : 4 + side]
    assert right.std() > 5
    assert (right != found).mean() > 0.01
