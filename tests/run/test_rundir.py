"""A page of a run is of the report that was there when it was written."""

import pytest

from edgesqueeze.run.report import Report, Row
from edgesqueeze.run.rundir import PAGE, RunDir

ROW = Row("train", None, "torch", True, {"error": 0.25}, "error")


@pytest.fixture
def run(tmp_path):
    (tmp_path / PAGE).write_text("<!doctype html>")
    return RunDir(tmp_path)


def test_a_page_goes_when_the_run_is_measured_again(run):
    run.write_report(Report({}, {}, "train", 100, (ROW,), ()))
    assert {path.name for path in run.path.iterdir()} == {"report.json", "report.md"}


def test_a_page_goes_when_a_stage_is_done_again(run):
    run.forget(1, trained=False)
    assert not (run.path / PAGE).exists()
