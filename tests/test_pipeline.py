"""Whole runs on small data: the table tells the truth about the files, and a run can be killed and resumed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file
from training import Recorder

from edgesqueeze.errors import ExportError, OutputError, UnsupportedLayerError
from edgesqueeze.files import sha256_of
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.rundir import new_run, open_run, read_report
from edgesqueeze.task.checkpoint import Choice

RECIPE = {
    "version": 1,
    "name": "small",
    "task": "tiny:build_task",
    "stages": [
        {"stage": "train", "epochs": 4, "learning_rate": 0.05, "batch_size": 32},
        {"stage": "prune", "sparsity": {"same": 0.5, "head*": 0.3}, "epochs": 2},
        {"stage": "share", "num_bits": 5, "epochs": 2},
        {"stage": "ptq"},
    ],
    "exports": [
        {"export": "squeezed"},
        {"export": "onnx", "precision": ["fp32", "int8"]},
        {"export": "tflite", "precision": ["fp32", "int8"]},
    ],
    "references": ["lenet300_100"],
}


def recipe_with(**changes):
    return parse_recipe({**RECIPE, **changes}, "test")


def hashes(run):
    return {path.name: sha256_of(path) for path in sorted((run / "artifacts").iterdir())}


@pytest.fixture(scope="module")
def finished(tiny_task, tmp_path_factory):
    recipe = recipe_with()
    run = new_run(recipe, tmp_path_factory.mktemp("runs") / "one")
    return run, compress(recipe, tiny_task, run)


def test_the_rows_are_the_stages_and_the_files(finished):
    _, report = finished
    labels = [(row.label, row.simulated) for row in report.rows]
    assert labels == [
        ("train", False),
        ("prune", True),
        ("share", True),
        ("ptq", True),
        ("model.sqz", False),
        ("model.onnx", False),
        ("model_int8.onnx", False),
        ("model.tflite", False),
        ("model_int8.tflite", False),
    ]
    assert report.baseline == "train"
    assert [row.label for row in report.references] == ["lenet300_100.onnx", "lenet300_100.tflite"]


def test_every_number_of_a_file_can_be_had_from_the_file_again(finished, tiny_task):
    run, report = finished
    x, y = next(tiny_task.test.batches(100))
    baseline = report.rows[0]
    for row in report.rows:
        if row.path is None:
            assert row.simulated
            assert row.num_bytes is row.compression_ratio is row.latency is None
            continue
        path = run.path / row.path
        assert row.num_bytes == os.path.getsize(path)  # noqa: PTH202 (the law names it)
        assert row.compression_ratio == pytest.approx(baseline.num_bytes / row.num_bytes)
        assert row.metric_change == pytest.approx(row.metrics["accuracy"] - baseline.metrics["accuracy"])
        assert row.latency.median_s > 0
        assert row.latency.p25_s <= row.latency.median_s <= row.latency.p75_s
        load = {".onnx": load_onnx, ".tflite": load_tflite}.get(path.suffix)
        if load is not None:
            assert row.metrics == tiny_task.score(load(path).predict(x.numpy()), y.numpy())
            assert row.runtime == load(path).runtime


def test_counts_agree_between_stages_and_files(finished):
    _, report = finished
    share = next(row for row in report.rows if row.label == "share")
    for row in report.rows[4:]:
        assert row.macs == share.macs
        if "int8" not in row.label:
            assert (row.params, row.nonzero_params) == (share.params, share.nonzero_params)
            assert row.effective_macs == share.effective_macs
        else:  # small weights round to zero, and small biases too
            assert row.nonzero_params <= share.nonzero_params


def test_the_report_has_the_documented_keys_and_reads_back(finished):
    run, report = finished
    data = json.loads((run.path / "report.json").read_text())
    assert {"recipe", "environment", "rows"} <= set(data)
    keys = {
        "label",
        "path",
        "runtime",
        "simulated",
        "metrics",
        "primary_metric",
        "params",
        "nonzero_params",
        "macs",
        "effective_macs",
        "num_bytes",
        "compression_ratio",
        "latency",
    }
    for row in data["rows"]:
        assert keys <= set(row)
    latency = data["rows"][0]["latency"]
    assert {"median_s", "p25_s", "p75_s", "samples", "threads", "batch_size"} <= set(latency)
    assert data["code"] == [f"task.model tiny:TinyNet from {tiny.__file__}"]
    assert f"Code of your own: {data['code'][0]}." in report.table("simple")
    assert read_report(run.path) == report
    table = report.table("github")
    assert (run.path / "report.md").read_text() == table + "\n"
    for row in report.rows:
        assert row.label in table
    assert "| share (simulated)" in table


def test_a_run_directory_holds_what_is_promised(finished):
    run, _ = finished
    assert {p.name for p in run.path.iterdir()} >= {
        "recipe.yaml",
        "environment.json",
        "log.txt",
        "stages",
        "artifacts",
        "report.json",
        "report.md",
    }
    assert not list(run.path.rglob("*.part"))
    environment = json.loads((run.path / "environment.json").read_text())
    assert {"cpu_model", "versions", "python", "data_fingerprint"} <= set(environment)
    assert "stage 2 prune" in (run.path / "log.txt").read_text()


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_files(finished, tiny_task, tmp_path):
    run, _ = finished
    recipe = recipe_with(references=[])
    again = new_run(recipe, tmp_path / "again")
    torch.manual_seed(99)  # what the caller did with torch before must not matter
    compress(recipe, tiny_task, again)
    assert hashes(again.path) == hashes(run.path)


@pytest.mark.slow
def test_a_finished_run_resumed_repeats_no_stage(finished, tiny_task):
    run, _ = finished
    before = hashes(run.path)
    times = {p: p.stat().st_mtime_ns for p in run.path.rglob("model.safetensors")}
    recorder = Recorder()
    reopened, recipe = open_run(run.path)
    compress(recipe, tiny_task, reopened, recorder)
    assert recorder.epochs == []
    assert "train: finished earlier" in recorder.messages
    assert hashes(run.path) == before
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("model.safetensors")} == times


@pytest.mark.slow
def test_a_network_trained_on_grids_is_written_and_its_run_resumed(tiny_task, tmp_path):
    stages = [RECIPE["stages"][0], {"stage": "qat", "epochs": 1, "batch_size": 32}]
    recipe = recipe_with(stages=stages, references=[])
    run = new_run(recipe, tmp_path / "run")
    report = compress(recipe, tiny_task, run)
    rows = {row.label: row for row in report.rows}
    assert rows["qat"].simulated
    assert rows["model_int8.onnx"].metrics == rows["model_int8.tflite"].metrics
    before, recorder = hashes(run.path), Recorder()
    (run.path / "report.json").unlink()
    compress(recipe, tiny_task, run, recorder)
    assert "qat: finished earlier" in recorder.messages
    assert hashes(run.path) == before


@pytest.mark.slow
def test_without_training_the_given_weights_are_the_baseline(tiny_task, tmp_path):
    recipe = recipe_with(
        stages=[{"stage": "prune", "sparsity": 0.5}], exports=[{"export": "onnx"}], references=[]
    )
    report = compress(recipe, tiny_task, new_run(recipe, tmp_path / "run"))
    assert [row.label for row in report.rows] == ["random weights", "prune", "model.onnx"]
    assert report.baseline == "random weights"


@pytest.mark.slow
def test_a_checkpoint_is_the_baseline_and_training_can_be_left_out(finished, tiny_task, tmp_path):
    run, earlier = finished
    checkpoint = run.path / "stages" / "01-train" / "model.safetensors"
    average = {"module." + name: value for name, value in load_file(checkpoint).items()}
    torch.save({"model": {}, "ema": {**average, "steps": torch.tensor(4)}}, tmp_path / "last.ckpt")
    choice = Choice("ema", ignore=("steps",))
    task = replace(tiny_task, checkpoint=tmp_path / "last.ckpt", checkpoint_choice=choice)
    stages = [{**RECIPE["stages"][0], "unless_checkpoint": True}, *RECIPE["stages"][1:]]
    recipe = recipe_with(stages=stages, references=[])
    recorder = Recorder()
    report = compress(recipe, task, new_run(recipe, tmp_path / "run"), recorder)
    labels = [row.label for row in report.rows]
    assert labels[:3] == ["checkpoint last.ckpt", "prune", "share"]
    assert report.rows[0].metrics == earlier.rows[0].metrics
    assert report.rows[0].notes == (
        f"{len(average)} tensors under 'ema' of {task.checkpoint}",
        "the prefix 'module.' was taken off all names",
        "ignored as asked: 'steps'",
    )
    for note in report.rows[0].notes:
        assert f"checkpoint last.ckpt: {note}." in report.table("simple")
        assert f"checkpoint last.ckpt: {note}" in recorder.messages
    trained = recipe_with(stages=[{"stage": "train", "epochs": 1}], exports=[], references=[])
    report = compress(trained, task, new_run(trained, tmp_path / "more"))
    assert [row.label for row in report.rows] == ["checkpoint last.ckpt", "train"]
    assert report.baseline == "train"


def test_what_cannot_be_exported_is_refused_before_training(tiny_task, tmp_path):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 10, 28)

        def forward(self, x):
            return torch.lgamma(self.conv(x)).flatten(1)

    recipe = recipe_with(stages=[{"stage": "train", "epochs": 1}], exports=[{"export": "onnx"}])
    recorder = Recorder()
    with pytest.raises(UnsupportedLayerError, match="'lgamma'"):
        compress(recipe, replace(tiny_task, build_model=Odd), new_run(recipe, tmp_path / "run"), recorder)
    assert recorder.steps == 0


class Loud(torch.nn.Module):
    """A weight beyond float16."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(28 * 28, 10)
        torch.nn.init.constant_(self.line.weight, 1e5)

    def forward(self, x):
        return self.line(x.flatten(1))


def test_what_a_format_cannot_hold_is_refused_or_left_out(tiny_task, tmp_path):
    task = replace(tiny_task, build_model=Loud)
    exports = [{"export": name, "precision": ["fp16", "fp32"]} for name in ("onnx", "tflite")]
    exports.append({"export": "squeezed"})
    recipe = recipe_with(stages=[], exports=exports, references=[])
    with pytest.raises(ExportError, match="'line'"):
        compress(recipe, task, new_run(recipe, tmp_path / "refused"))
    recipe = recipe_with(stages=[], exports=exports, references=[], unsupported="skip")
    run = new_run(recipe, tmp_path / "run")
    report = compress(recipe, task, run)
    assert [row.path for row in report.rows[1:]] == [
        f"artifacts/{name}" for name in ("model.onnx", "model.tflite", "model.sqz")
    ]
    assert [sentence.partition(":")[0] for sentence in report.unwritten] == ["onnx fp16", "tflite fp16"]
    assert "Not written: onnx fp16: " in report.table("simple")
    assert Report.from_json(report.to_json()).unwritten == report.unwritten
    recipe = recipe_with(stages=[], exports=[{"export": "onnx", "precision": ["fp16"]}], unsupported="skip")
    with pytest.raises(ExportError, match="no file can be written; onnx fp16: .*'line'"):
        compress(recipe, task, new_run(recipe, tmp_path / "nothing"))


def test_a_directory_in_use_or_not_empty_is_refused(finished, tiny_task, tmp_path):
    run, _ = finished
    recipe = recipe_with()
    with pytest.raises(OutputError, match="holds a run already; continue it with --resume"):
        new_run(recipe, run.path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        new_run(recipe, tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        new_run(recipe, tmp_path / "file")
    with pytest.raises(OutputError, match="cannot create directory"):
        new_run(recipe, tmp_path / "file" / "below")
    with run.locked(), pytest.raises(OutputError, match="another run is writing"):
        compress(recipe, tiny_task, run)


def test_reports_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"holds no report\.json"):
        read_report(tmp_path)
    run = new_run(recipe_with(), tmp_path / "new")
    with pytest.raises(OutputError, match="the run is not finished, continue it with --resume"):
        read_report(run.path)
    (run.path / "report.json").write_text("{")
    with pytest.raises(OutputError, match="not valid JSON"):
        read_report(run.path)
    (run.path / "report.json").write_text("{}")
    with pytest.raises(OutputError, match="not a report"):
        read_report(run.path)
    with pytest.raises(OutputError, match="holds no run to resume"):
        open_run(tmp_path)


SLOW_RECIPE = {
    **RECIPE,
    "references": [],
    "stages": [{**stage, "epochs": 5} if "epochs" in stage else stage for stage in RECIPE["stages"]],
}
INTERRUPTED = ("prune: epoch 2", "share: epoch 2", "calibrating on")


class Interrupting(Recorder):
    """Raises what Ctrl-C raises as soon as it is told what begins with ``mark``."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def epoch(self, number, loss, metric):
        self.message(f"{self.courses[-1].label}: epoch {number}")

    def message(self, text):
        if text.startswith(self.mark):
            raise KeyboardInterrupt


def _compress_command(*arguments):
    return [sys.executable, "-m", "edgesqueeze", "compress", *map(str, arguments)]


def _end_at(mark, number, command, folder):
    """Start a run and signal it as soon as it says ``mark``. The kernel kills it, or it says how to go on."""
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stderr:
            if line.startswith(mark):
                process.send_signal(number)
                break
        else:
            pytest.fail(f"the run ended without saying {mark!r}")
        rest = process.stderr.read().splitlines()
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        advice = "continue with: edgesqueeze compress --resume broken"
        assert rest[-1] == f"stopped by {number.name}; {advice}"
        assert all(": epoch " in line for line in rest[:-1]), rest
        assert not list(folder.rglob("*.part"))


@pytest.mark.slow
def test_a_run_killed_or_stopped_in_every_stage_ends_with_the_same_bytes(tiny_task, tmp_path):
    (tmp_path / "small.yaml").write_text(json.dumps(SLOW_RECIPE))
    (tmp_path / "tiny.py").write_text(Path(tiny.__file__).read_text())
    recipe = parse_recipe(SLOW_RECIPE, "test")
    compress(recipe, tiny_task, new_run(recipe, tmp_path / "unbroken"))
    command = _compress_command("--recipe", "small.yaml", "--output", "broken")
    _end_at("train: epoch 2/", signal.SIGKILL, command, tmp_path)
    run, recipe = open_run(tmp_path / "broken")
    for mark in INTERRUPTED:  # in this process: tests/cli/test_ending.py has what signals do to one
        with pytest.raises(KeyboardInterrupt):
            compress(recipe, tiny_task, run, Interrupting(mark))
        assert not (run.path / "report.json").exists()
    _end_at("measuring 5 files", signal.SIGTERM, _compress_command("--resume", "broken"), tmp_path)
    assert not (run.path / "report.json").exists()
    compress(recipe, tiny_task, run)
    assert hashes(tmp_path / "broken") == hashes(tmp_path / "unbroken")
    states = [
        sorted((tmp_path / name / "stages").rglob("model.safetensors")) for name in ("broken", "unbroken")
    ]
    assert [sha256_of(p) for p in states[0]] == [sha256_of(p) for p in states[1]]
