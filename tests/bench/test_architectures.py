"""The table of architectures, made of one small network."""

import json
import sys
from pathlib import Path

import pytest

from bench import architectures
from bench.architecture_models import ARCHITECTURES
from bench.architecture_table import report

ROOT = Path(__file__).parents[2]
NAME = "shufflenet_v2_x0_5"

pytestmark = pytest.mark.slow


def run(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", [architectures.__file__, *arguments])
        architectures.main()


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("architectures")
    run("--output", str(folder), "--models", NAME, "--images", "2")
    return folder


def test_a_row_says_what_the_files_hold_and_answer(output):
    (row,) = json.loads((output / "report.json").read_text())["rows"]
    assert row["model"] == NAME
    assert row["params"] == 1_366_792  # torchvision's own figure
    assert all(0 <= error < 1e-3 for error in row["float_error"].values())
    assert [entry["differing"] for entry in row["integers"]] == [0, 0, 0]
    assert row["integers"][0]["values"] == 2 * 1000
    assert (row["gate"], row["excused"]) == ("exact", [])
    assert row["stored_equal"] > row["params"]
    for name, entry in row["files"].items():
        assert entry["num_bytes"] > row["params"] * (4 if "fp32" in name else 1)
        assert entry["undelegated"] == ({} if name.endswith("tflite") else None)
    assert row["files"]["int8.tflite"]["float_operators"] == {}
    assert row["files"]["fp32.tflite"]["operators"]["TRANSPOSE"] == 16  # one per channel shuffle
    assert "RELU" not in row["files"]["fp32.tflite"]["operators"]


def test_the_report_and_the_command_stand_beside_the_row(output):
    text = (output / "report.md").read_text()
    assert text.count(f"| {NAME} ") == 3
    assert "2 pictures of 1/f noise" in text
    assert (output / "command.txt").read_text().startswith("python -m bench.architectures --output")


def test_what_is_in_the_report_is_not_measured_again(output):
    content = json.loads((output / "report.json").read_text())
    content["rows"][0]["params"] = 7
    (output / "report.json").write_text(json.dumps(content))
    run("--output", str(output), "--models", NAME, "--resume")
    assert json.loads((output / "report.json").read_text())["rows"][0]["params"] == 7


def test_differences_floats_and_kernels_of_litert_are_told(output):
    (row,) = json.loads((output / "report.json").read_text())["rows"]
    row["integers"][0] |= {"differing": 1234, "largest": 2}
    row["excused"] = [{"file": "int8.onnx", "nodes": 2, "differing": 3, "values": 1000}]
    row["stored_equal"] = None
    row["files"]["int8.onnx"]["float_operators"] = {"Erf": 2}
    row["files"]["int8.tflite"]["undelegated"] = {"SOFTMAX": 1}
    row["files"]["int8.tflite"]["operators"]["RELU"] = 5
    text = "\n".join(report([row], 2))
    for cell in ("1,234 (≤ 2)", "3 of 1,000", "differ ", "2 Erf", "1 SOFTMAX", "0, 5"):
        assert f"| {cell}" in " ".join(text.split()).replace("| ", "| ")


def test_the_goal_is_listed():
    assert len(ARCHITECTURES) == 27
    assert {a.name for a in ARCHITECTURES.values() if a.is_segmenter} == {
        *("lraspp_mobilenet_v3_large", "fcn_resnet50", "deeplabv3_resnet50")
    }
