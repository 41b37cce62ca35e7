"""report.json has a number for its form, and metrics of any kind have a place in the table."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.bootstrap import BootstrapInterval, BootstrapTest
from edgesqueeze.numerics.proportions import Interval, PairedTest
from edgesqueeze.run.report import SCHEMA, Report, Row
from edgesqueeze.run.row import MeasureFacts, row_from_json

ROOT = Path(__file__).parents[2]
COMMITTED = {
    path: data
    for folder in ("bench/results", "tests/golden/reports")
    for path in sorted((ROOT / folder).rglob("report.json"))
    if "test_examples" in (data := json.loads(path.read_text()))
}
REPORTS = [path for path, data in COMMITTED.items() if "schema" not in data]
LATER = [path for path, data in COMMITTED.items() if "schema" in data]
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
    assert again.to_json()["schema"] == 1
    first = found.rows[0]
    assert f"{100 * first.primary:.2f} %" in found.table("github")


@pytest.mark.parametrize("path", LATER, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_reports_with_a_number_come_back_as_they_were(path):
    found = Report.from_json(COMMITTED[path])
    again = found.to_json()
    written = {key: value for key, value in COMMITTED[path].items() if key != "sha256"}  # the folder's seal
    assert json.loads(json.dumps(again)) == written
    assert found.table("github") + "\n" == path.with_name("report.md").read_text()


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


PSNR = replace(
    ROW,
    unit="dB",
    metrics={"PSNR": 30.125, "MSE": 0.0012345, "SSIM": 0.93},
    primary_metric="PSNR",
    interval=BootstrapInterval(29.5, 30.75, 1000),
    details={"per_class": {"IoU": [0.5, None]}, "confusion": [[1, 2], [3, 4]]},
)
MEASURES = {
    "PSNR": MeasureFacts("dB", True),
    "SSIM": MeasureFacts("number", True),
    "MSE": MeasureFacts("number", False),
}


def test_decibels_and_bootstraps_say_what_they_are():
    test = BootstrapTest(-0.125, 0.1, -0.32, 0.07, 0.2117, 1000)
    worse = replace(PSNR, label="model.onnx", metrics={"PSNR": 30.0}, paired=test).against(PSNR)
    text = report(PSNR, worse).table("github")
    assert "PSNR [95 %]" in text
    assert "30.12 dB [29.50–30.75]" in text
    assert "-0.12 | 0.212" in text.replace("  ", " ")
    assert "PSNR over 100 test examples; change in dB. " in text
    assert "95 % bootstrap interval, 1,000 draws of the test images. p: paired bootstrap test against" in text
    assert "Wilson" not in text
    share = replace(PSNR, unit="share", metrics={"PSNR": 0.301}, interval=BootstrapInterval(0.29, 0.31, 1000))
    assert "30.10 % [29.00–31.00]" in report(share).table("github")


def test_other_metrics_have_a_small_table():
    text = replace(report(PSNR), measures=MEASURES).table("github")
    table = text.partition("| other metrics")[2].splitlines()
    assert [cell.strip() for cell in table[0].split("|")[1:-1]] == ["SSIM", "MSE (less is better)"]
    assert [cell.strip() for cell in table[2].split("|")[1:-1]] == ["train", "0.93", "0.0012345"]
    assert "other metrics" not in report(PSNR).table("github")
    many = MEASURES | {f"m{k}": MeasureFacts("share", True) for k in range(6)}
    text = replace(report(PSNR), measures=many).table("github")
    assert "| m3 |" in text.replace("  ", "")
    assert "Not shown: m4, m5." in text


def test_a_report_reads_back_and_earlier_readers_take_what_they_can():
    test = BootstrapTest(-0.1, 0.1, -0.3, 0.1, 0.2, 1000)
    written = replace(report(PSNR, replace(PSNR, paired=test)), measures=MEASURES, classes=("a", "b"))
    data = json.loads(json.dumps(written.to_json()))
    assert Report.from_json(data) == written
    assert data["schema"] == SCHEMA == 2
    counted = replace(
        ROW, interval=Interval(0.2, 0.3), paired=PairedTest(2, 1, 1.0), details={"confusion": [[1]]}
    )
    data = json.loads(json.dumps(report(counted).to_json()))
    assert Report.from_json(data).rows == (counted,)
    assert data["schema"] == 1
    keys = json.loads(REPORTS[0].read_text())["rows"][0].keys() | {"notes", "unit", "higher_is_better"}
    assert set(data["rows"][0]) <= keys | {"interval", "paired"}  # a reader of form 1 refuses others


def test_rows_of_an_earlier_version_have_no_details():
    data = asdict(ROW)
    del data["details"], data["interval"], data["paired"]
    assert row_from_json(data) == ROW


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_a_terminal_shows_every_report_in_a_hundred_columns(path):
    found = Report.from_json(COMMITTED[path])
    text = found.brief()
    assert max(map(len, text.splitlines())) <= 100
    for row in found.rows:
        if row.num_bytes and not row.simulated:
            assert any(
                line.startswith(row.label) and f"{row.num_bytes:,}" in line for line in text.splitlines()
            )
    if found.layers:
        assert max(map(len, found.brief_layers().splitlines())) <= 100
        assert found.layers[0].name in found.brief_layers()


def test_long_names_and_many_metrics_are_cut_to_a_hundred_columns():
    latency = Latency(12.3456, 12.0, 13.0, 30, 2, 1, 5)
    row = replace(
        PSNR,
        label=f"checkpoint {'very_' * 20}long.safetensors",
        metrics={"PSNR": 30.0} | {f"metric number {k}": 0.5 for k in range(12)},
        num_bytes=244_403_456,
        latency=latency,
        notes=("kept float: " + "layer.with.a.name, " * 20,),
    )
    measures = {name: MeasureFacts("share", False) for name in row.metrics}
    text = replace(report(row, row), measures=measures, references=(row,)).brief()
    assert max(map(len, text.splitlines())) <= 100
    assert "244,403,456" in text
    assert "12,345.6" in text
    assert "2 threads." in text
    assert "Not shown: metric number 2, " in text
    assert "–12" not in text  # quartiles are in report.md


def test_a_brief_report_leaves_out_what_report_md_has():
    test = BootstrapTest(-0.125, 0.1, -0.32, 0.07, 0.2117, 1000)
    worse = replace(PSNR, label="model.onnx", metrics={"PSNR": 30.0}, paired=test).against(PSNR)
    header, _, first, second = report(PSNR, worse).brief().splitlines()[:4]
    assert header.split() == ["PSNR", "[95", "%]", "change", "bytes", "ratio", "latency", "ms"]
    assert first.split()[:4] == ["train", "30.12", "dB", "[29.50–30.75]"]
    assert second.split()[-4:] == ["-0.12", "9", "1.00×", "–"]
