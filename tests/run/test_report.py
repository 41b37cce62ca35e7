"""report.json has a number for its form, and metrics of any kind have a place in the table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.run.report import SCHEMA, Report, Row
from edgesqueeze.task import Measure, top1_accuracy
from edgesqueeze.task.metrics import measure_of, same_class

ROOT = Path(__file__).parents[2]
REPORTS = [
    path
    for path in sorted((ROOT / "bench" / "results").rglob("report.json"))
    if "test_examples" in json.loads(path.read_text())
]
ROW = Row("train", "stages/01-train/model.safetensors", "torch", False, {"error": 0.25}, "error", num_bytes=9)


def report(*rows):
    return Report({}, {}, "train", 100, rows, ())


def test_there_are_reports_of_before_the_number():
    assert len(REPORTS) >= 10


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_reports_of_version_0_load_and_keep_their_table(path):
    data = json.loads(path.read_text())
    found = Report.from_json(data)
    again = Report.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.to_json()["schema"] == SCHEMA
    first = found.rows[0]
    assert f"{100 * first.primary:.2f} %" in found.table("github")


def test_a_report_of_a_later_form_is_refused():
    data = {**report(ROW).to_json(), "schema": SCHEMA + 1}
    with pytest.raises(OutputError, match=f"has schema {SCHEMA + 1}; this version reads up to {SCHEMA}"):
        Report.from_json(data)


def test_a_number_is_written_as_it_is():
    row = replace(ROW, unit="number", higher_is_better=False, metrics={"error": 0.0123456})
    worse = replace(row, label="model.onnx", metrics={"error": 0.0150}).against(row)
    text = report(row, worse).table("github")
    assert "0.012346" in text
    assert "+0.00265" in text
    assert "change as it is, less is better" in text
    assert "%" not in text.partition("MACs are")[0]


def test_a_plain_metric_is_a_share_of_which_more_is_better():
    assert measure_of(top1_accuracy) == Measure(top1_accuracy, True, "share")
    distance = Measure(lambda y, t: float(abs(y - t).mean()), higher_is_better=False, unit="number")
    assert measure_of(distance) is distance
    assert distance(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 1.0


def test_answers_are_the_same_if_they_name_one_class():
    one, other = np.array([[1, 2], [3, 0], [0, 1]]), np.array([[0, 9], [0, 1], [5, 6]])
    assert same_class(one, other).tolist() == [True, False, True]
