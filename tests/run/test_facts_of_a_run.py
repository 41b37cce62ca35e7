"""Whole small runs, and files that were tampered with: the facts come from what is on disk."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sklearn.metrics import f1_score

from edgesqueeze.compression.stages import Prune, Squeeze
from edgesqueeze.compression.state import state_of
from edgesqueeze.compression.weights.weights import bake, load_model
from edgesqueeze.exports import Artifact
from edgesqueeze.formats.any_file import read_int8_weights
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.checks.composition import check_composition
from edgesqueeze.measure.checks.pruned_and_shared import check_techniques
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.pipeline import compress, finished_network
from edgesqueeze.run.facts_of_a_run import answers_evidence, kept_in_float, layers_and_stages
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.rundir import new_run, read_report
from edgesqueeze.task.metrics import metrics_of

pytestmark = pytest.mark.slow  # whole runs; tests/test_pipeline.py has the one that --fast makes

STAGES = [
    {"stage": "train", "epochs": 1, "learning_rate": 0.05, "batch_size": 32},
    {"stage": "prune", "sparsity": {"same": 0.5, "head*": 0.3}},
    {"stage": "share", "num_bits": {"same": 3, "head*": 4}},
    {"stage": "ptq", "method": "min_max"},
]
EXPORTS = [
    {"export": "squeezed"},
    {"export": "onnx", "precision": ["fp32", "int8"]},
    {"export": "tflite", "precision": ["fp32", "int8"]},
]


def run_of(folder, task, stages, exports=()):
    recipe = {"version": 1, "name": "r", "task": "tiny:build_task", "stages": stages}
    parsed = parse_recipe({**recipe, "exports": list(exports), "references": []}, "test")
    run = new_run(parsed, folder / "run")
    return run, parsed, compress(parsed, task, run)


def status(report):
    return {check.name: check.status for check in report.checks}


def faults(report, name):
    return [f.text() for check in report.checks if check.name == name for f in check.faults]


@pytest.fixture(scope="module")
def finished(tiny_task, tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("evidence"), tiny_task, STAGES, EXPORTS)


def test_every_check_of_a_run_has_an_answer(finished):
    run, _, report = finished
    found = status(report)
    assert {name: found[name] for name in found if name != "faster"} == {
        "smaller": "fired",  # 900 parameters are fewer bytes than the names of the operators around them
        "integer operators": "ok",
        "delegate": "ok",
        "pruned and shared": "ok",
        "composition": "ok",
        "accuracy": "fired",  # one epoch has taught it little, and that hangs on every weight
        "enough images": "cannot tell",
    }
    assert any("model_int8.onnx has" in sentence for sentence in faults(report, "smaller"))
    assert "100 test images cannot show a change below 6.00 points" in report.checks[-1].findings[0].what
    assert read_report(run.path).checks == report.checks
    table = (run.path / "report.md").read_text()
    assert "Did it really work: " in table
    assert "- ok composition: " in table


def test_rows_say_how_sure_they_are(finished):
    _, _, report = finished
    by_label = {row.label: row for row in report.rows}
    assert by_label["train"].paired is None
    for row in report.rows:
        assert row.interval.low <= row.primary <= row.interval.high
        if row.label != "train":
            change = (row.paired.won - row.paired.lost) / report.test_examples
            assert change == pytest.approx(row.metric_change)
    assert by_label["ptq"].paired == by_label["model_int8.onnx"].paired
    header = report.table("github").splitlines()[0]
    assert "accuracy [95 %]" in header
    assert " p |" in header


def test_layers_are_counted_in_float_and_in_both_files(finished):
    run, _, report = finished
    same = next(layer for layer in report.layers if layer.name == "same")
    assert (same.weights, same.zeros, same.pruned, same.revived, same.num_bits) == (576, 288, 288, 0, 3)
    assert 2 < same.distinct <= 8
    onnx_file, tflite_file = same.files
    assert replace(onnx_file, file="") == replace(tflite_file, file="")
    stored = read_int8_weights(run.artifacts / "model_int8.tflite")["same"]
    assert onnx_file.zeros == int((stored == 0).sum()) >= 288
    assert onnx_file.distinct == len(set(stored.ravel().tolist()) - {0})
    assert onnx_file.distinct_per_channel == max(len(set(c.ravel().tolist()) - {0}) for c in stored) <= 8
    assert "model_int8.tflite zero" in report.layers_table("github")


def states_of(run, task):
    models = [
        load_model(task.build_model(), run.stage(i, name).model) for i, name in ((1, "train"), (2, "prune"))
    ]
    return [("01-train", None, models[0]), ("02-prune", Prune(sparsity={"same": 0.5}), models[1])]


def composition(run, task, path, states=None):
    artifact = Artifact(FileFormat.ONNX, "int8", path, 1, "")
    found = [(folder, stage, state_of(model)) for folder, stage, model in states or states_of(run, task)]
    layers, _ = layers_and_stages(found, [artifact])
    return check_composition(layers, [path.name])


def test_a_pruned_weight_that_comes_back_in_a_file_fires(finished, tiny_task, tmp_path):
    run, _, _ = finished
    model = onnx.load(run.artifacts / "model_int8.onnx")
    weight = next(t for t in model.graph.initializer if t.name == "same.weight")
    values = numpy_helper.to_array(weight).copy()
    values.ravel()[np.flatnonzero(values.ravel() == 0)[0]] = 1
    weight.CopyFrom(numpy_helper.from_array(values, "same.weight"))
    onnx.save(model, tmp_path / "tampered.onnx")
    assert composition(run, tiny_task, run.artifacts / "model_int8.onnx").status == "ok"
    found = composition(run, tiny_task, tmp_path / "tampered.onnx")
    assert [f.text() for f in found.faults] == ["1 pruned weights are not zero in tampered.onnx: same"]


def test_a_stage_that_undoes_pruning_fires(finished, tiny_task):
    run, _, _ = finished
    states = states_of(run, tiny_task)
    dense = bake(states[-1][2])
    dense.same.weight.data += 1e-3
    found = composition(
        run, tiny_task, run.artifacts / "model_int8.onnx", [*states, ("03-train", None, dense)]
    )
    assert [f.text() for f in found.faults] == [
        "288 pruned weights are not zero in the last float state: same"
    ]


def test_layers_without_integers_are_those_kept_in_float(finished, tiny_task):
    run, recipe, _ = finished
    graph, spec = finished_network(recipe, tiny_task, run)
    assert kept_in_float(graph, spec) == kept_in_float(graph, None) == frozenset()
    without = QuantSpec(spec.activations, {n: w for n, w in spec.weights.items() if n != "same"})
    assert kept_in_float(graph, without) == {"same"}


def test_stages_that_do_nothing_fire(tiny_task, tmp_path):
    stages = [{"stage": "prune", "sparsity": 0.0}, {"stage": "share", "num_bits": {"head*": 8}}]
    _, _, report = run_of(tmp_path, tiny_task, stages)
    assert faults(report, "pruned and shared") == [
        "01-prune pruned nothing: stem.0, same, depthwise.0, head.1",
        "02-share shared nothing: no layer has fewer distinct values than before: head.1",
    ]
    assert status(report)["smaller"] == "not checked"


def test_squeezed_layers_are_judged_like_pruned_ones(tiny_task, tmp_path):
    stages = [{"stage": "squeeze", "price": 0.001}, {"stage": "ptq", "method": "min_max"}]
    run, _, report = run_of(tmp_path, tiny_task, stages, [{"export": "onnx", "precision": ["int8"]}])
    assert status(report)["pruned and shared"] == status(report)["composition"] == "ok"
    assert all(0 < layer.pruned < layer.weights for layer in report.layers)
    stage = Squeeze(price=0.001)
    before = ("00-start", None, state_of(tiny_task.build_model()))
    squeezed = ("01-squeeze", stage, load_model(tiny_task.build_model(), run.stage(1, "squeeze").model))
    moved = bake(squeezed[2])
    moved.same.weight.data += 1e-3
    layers, _ = layers_and_stages(
        [before, (*squeezed[:2], state_of(squeezed[2])), ("02-train", None, state_of(moved))], []
    )
    assert [finding.where for finding in check_composition(layers, []).faults] == [("same",)]
    moved.same.weight.data[0, 0, 0, 0] = np.pi
    _, found = layers_and_stages([before, ("01-squeeze", stage, state_of(moved))], [])
    assert [f.text() for f in check_techniques(found).faults] == [
        "01-squeeze left weights that are no multiples of one step: same"
    ]


def test_a_metric_that_cannot_be_resampled_is_said(tiny_task, tmp_path):
    def macro_f1(outputs, targets):
        if len(outputs) != len(np.unique(outputs, axis=0)):
            raise ValueError("an image twice")
        return float(f1_score(targets, outputs.argmax(1), average="macro", zero_division=0.0))

    task = replace(tiny_task, metrics={"f1": macro_f1})
    run, _, report = run_of(tmp_path, task, STAGES[:1], [{"export": "onnx"}])
    check = report.checks[-1]
    assert check.status == "cannot tell"
    assert "'f1' is not the share of test images that are right" in check.findings[0].what
    assert all(row.interval is None and row.paired is None for row in report.rows)
    assert "[95 %]" not in report.table("github")
    assert not list(run.path.rglob("right.npy"))
    assert not list(run.path.rglob("draws.npz"))


def test_any_other_metric_is_resampled_and_a_resumed_run_says_the_same(tiny_task, tmp_path):
    digits = tuple("0123456789")
    metrics = metrics_of("classification", digits)
    task = replace(tiny_task, metrics={"F1": metrics["F1"], "accuracy": metrics["accuracy"]}, classes=digits)
    stages = [STAGES[0], STAGES[-1]]
    run, recipe, report = run_of(tmp_path, task, stages, [{"export": "onnx", "precision": ["fp32", "int8"]}])
    rows = {row.label: row for row in report.rows}
    assert rows["train"].paired is None
    assert rows["ptq"].paired == rows["model_int8.onnx"].paired
    assert rows["model_int8.onnx"].paired.change == pytest.approx(rows["model_int8.onnx"].metric_change)
    assert rows["model.onnx"].paired.p_value == 1.0
    assert all(row.interval.low < row.primary < row.interval.high for row in report.rows)
    assert [len(matrix) for matrix in rows["train"].details["confusion"]] == [10] * 10
    assert report.classes == digits
    text = (run.path / "report.md").read_text()
    assert "p: paired bootstrap test against 'train'" in text
    assert "| other metrics" in text
    assert read_report(run.path) == report
    (run.path / "report.json").unlink()
    again = compress(recipe, task, run)
    assert [replace(row, latency=None) for row in again.rows] == [
        replace(row, latency=None) for row in report.rows
    ]
    assert again.checks[-1] == report.checks[-1]


def test_a_run_begun_without_answers_says_so(finished, tiny_task):
    _, _, report = finished
    rows = [
        replace(row, paired=None) for row in report.rows[4:]
    ]  # what comes of a baseline without right.npy
    found = answers_evidence(tiny_task, report.rows[0], rows)
    assert found.tests == {}
    assert found.unpaired == "this run began with a version that did not keep the answers of 'train'"


def test_reports_of_earlier_versions_are_read(finished):
    _, _, report = finished
    data = json.loads(json.dumps(report.to_json()))
    for key in ("checks", "layers"):
        del data[key]
    for row in (*data["rows"], *data["references"]):
        del row["interval"], row["paired"]
    old = Report.from_json(data)
    assert (old.checks, old.layers) == ((), ())
    assert "Did it really work" not in old.table("github")
    assert "[95 %]" not in old.table("github")
