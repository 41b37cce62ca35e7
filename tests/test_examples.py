"""Every example runs, in a copy of its folder."""

import ast
import json
import runpy
import shutil
import sys

import numpy as np
import pytest
from pages import ROOT
from typer.testing import CliRunner

from edgesqueeze import load_recipe, load_task
from edgesqueeze.cli.main import app

EXAMPLES = ROOT / "examples"


def compressed(name, folder, monkeypatch):
    """The folder of an example after its command, which is the working directory then."""
    shutil.copytree(EXAMPLES / name, folder / name)
    monkeypatch.chdir(folder / name)
    done = CliRunner().invoke(app, ["compress", "--recipe", "recipe.yaml", "--output", "out"])
    assert done.exit_code == 0, f"{done.output}\n{done.exception}"
    return folder / name


def run_script(name, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    return runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def metrics(folder, name):
    rows = json.loads((folder / "out" / "report.json").read_text())["rows"]
    return {row["label"]: row["metrics"][name] for row in rows}


def test_every_example_is_in_the_list():
    listed = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name in listed or path.name in ("README.md", "__pycache__")


def test_a_device_needs_numpy_and_one_runtime():
    tree = ast.parse((EXAMPLES / "run_on_device.py").read_text())
    names = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {
        "numpy",
        "onnxruntime",
        "ai_edge_litert",
    }


@pytest.mark.slow
def test_an_own_model_and_its_files_on_a_device(tmp_path, monkeypatch, capsys):
    folder = compressed("own_model", tmp_path, monkeypatch)
    accuracy = metrics(folder, "accuracy")
    assert min(accuracy.values()) > 0.8
    recipe = load_recipe("recipe.yaml")
    images, labels = next(load_task(recipe.task, recipe.seed).test.batches(1000))
    np.savez("images.npz", images=images.numpy(), labels=labels.numpy())
    for name in ("model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite"):
        run_script("run_on_device.py", f"out/artifacts/{name}", "images.npz", monkeypatch=monkeypatch)
        assert f"{name}: {100 * accuracy[name]:.1f} % right" in capsys.readouterr().out


@pytest.mark.slow
def test_an_own_task(tmp_path, monkeypatch):
    found = metrics(compressed("own_task", tmp_path, monkeypatch), "found")
    assert min(found.values()) > 0.8


@pytest.mark.slow
def test_from_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_script("from_python.py", "out", monkeypatch=monkeypatch)
    assert end.value.code == 0
    assert "times smaller" in capsys.readouterr().out
