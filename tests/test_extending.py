"""docs/extending.md works as it stands: its toys, applied to a copy of the package, run end to end."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import edgesqueeze

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'^```(?P<language>\w+) title="(?P<title>[^"]+)"\n(?P<code>.*?)^```$', re.M | re.S)


def patched(text, diff):
    """A text with the lines of a diff block in place; the last place if there are several."""
    old = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " -")
    new = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " +")
    old, new = old.removesuffix("\n"), new.removesuffix("\n")
    before, found, after = text.rpartition(old)
    assert found, f"not there: {old!r}"
    return before + new + after


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(Path(edgesqueeze.__file__).parent, folder / "edgesqueeze")
    (folder / "recipes").mkdir()
    for block in BLOCK.finditer((ROOT / "docs" / "extending.md").read_text()):
        path = folder / block["title"]
        path.write_text(
            patched(path.read_text(), block["code"]) if block["language"] == "diff" else block["code"]
        )
    words = ["compress", "--recipe", "toy.yaml", "--output", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "edgesqueeze.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words = ["bench", "--suite", "toy_suite.yaml", "--output", "bench"]
    done = subprocess.run(
        [sys.executable, "-m", "edgesqueeze.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.slow
def test_every_toy_is_in_the_table(run):
    report = json.loads((run / "report.json").read_text())
    rows = {row["label"]: row["metrics"]["balanced_accuracy"] for row in report["rows"]}
    names = {"train", "round_weights", "ptq", "model.sqz", "model.onnx", "model_noted.onnx"}
    assert names <= set(rows)
    assert all(rows[name] > 0.8 for name in rows)
    assert rows["model_int8.onnx"] == rows["model_int8.tflite"]
    assert "differ" not in " ".join(report["parity"]["summary"])


@pytest.mark.slow
def test_the_toys_are_in_the_files(run):
    noted = onnx.load(run / "artifacts" / "model_noted.onnx")
    assert noted.doc_string == "made by a toy"
    kinds = [node.op_type for node in noted.graph.node]
    assert "Exp" in kinds
    assert "Slice" in kinds


@pytest.mark.slow
def test_the_toy_runtime_is_measured(run):
    report = json.loads((run.parent / "bench" / "report.json").read_text())
    assert {row["runtime"].split()[0] for row in report["rows"]} == {"onnxruntime", "onnx"}
