"""Recipes that ask for every precision: settings, names, whole runs, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from edgesqueeze.cli.verifying import Inputs, verify_paths
from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError, RecipeError
from edgesqueeze.exports import OnnxExport, TfliteExport
from edgesqueeze.files import sha256_of
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.sqz.file import decode_sqz, emit_sqz
from edgesqueeze.network.integers.spec import activation_grids, spec_from_activations
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run

ALL = ["fp32", "fp16", "int8", "dynamic", "int8_weights"]
UNCALIBRATED = [precision for precision in ALL if precision != "int8"]
INT8 = {"onnx": "model_int8_qoperator.onnx", "tflite": "model_int8_float32_io.tflite"}


def recipe(stages, onnx, tflite):
    return parse_recipe(
        {
            "version": 1,
            "name": "precisions",
            "task": "tiny:build_task",
            "stages": [{"stage": "train", "epochs": 1}, *stages],
            "exports": [{"export": "squeezed"}, {"export": "onnx", **onnx}, {"export": "tflite", **tflite}],
            "references": [],
        },
        "test",
    )


def names(suffix, precisions):
    plain = {"fp32": f"model.{suffix}", "int8": INT8[suffix]}
    return [plain.get(precision, f"model_{precision}.{suffix}") for precision in precisions]


@pytest.mark.slow
def test_a_recipe_with_everything_runs_end_to_end(tiny_task, tmp_path):
    stages = [
        {"stage": "prune", "sparsity": 0.5, "epochs": 0},
        {"stage": "ptq", "method": "min_max", "per_channel": False},
    ]
    asked = recipe(
        stages,
        {"precision": ALL, "int8_form": "qoperator"},
        {"precision": ALL, "int8_io": "float32"},
    )
    run = new_run(asked, tmp_path / "run")
    report = compress(asked, tiny_task, run)
    rows = {row.label: row for row in report.rows if row.path and row.path.startswith("artifacts/")}
    assert list(rows) == ["model.sqz", *names("onnx", ALL), *names("tflite", ALL)]
    accuracy = rows["model.onnx"].metrics["accuracy"]
    for name, row in rows.items():
        path = run.artifacts / name
        assert row.num_bytes == path.stat().st_size
        assert abs(row.metrics["accuracy"] - accuracy) < 0.05
        assert row.latency is not None
        if path.suffix != ".sqz":
            sizes = [rows[n].num_bytes for n in (f"model{path.suffix}", name)]
            assert sizes[1] < sizes[0] or name == f"model{path.suffix}"
    assert [read_model_file(run.artifacts / name).precision for name in names("tflite", ALL)] == ALL
    assert report.parity["holds"] is True
    assert {entry["precision"] for entry in report.parity["outputs"]["files"]} == set(ALL)
    assert verify_paths([run.path], Inputs(images=4)).failures() == []
    # Pruned weights are zero in every file.
    kept = {name: row.nonzero_params for name, row in rows.items() if "int8" in name or "dynamic" in name}
    assert max(kept.values()) <= 1.05 * rows["model.onnx"].nonzero_params


@pytest.mark.slow
def test_without_calibration_the_weights_come_from_the_float_network(tiny_task, tmp_path):
    asked = recipe([], {"precision": UNCALIBRATED}, {"precision": UNCALIBRATED})
    report = compress(asked, tiny_task, new_run(asked, tmp_path / "run"))
    labels = [row.label for row in report.rows]
    assert labels[1:] == ["model.sqz", *names("onnx", UNCALIBRATED), *names("tflite", UNCALIBRATED)]
    assert report.parity["holds"] is True
    assert [proof["one"] for proof in report.parity["integers"]] == ["int8 weights"] * 4


SHARED = {
    "squeeze": [{"stage": "squeeze", "price": 0.0001, "epochs": 0}],
    "share and ptq": [{"stage": "share", "num_bits": 3, "epochs": 0}, {"stage": "ptq", "method": "min_max"}],
}


@pytest.mark.slow
@pytest.mark.parametrize("stages", SHARED)
def test_files_for_those_without_a_decoder(stages, tiny_task, tmp_path):
    asked = recipe(SHARED[stages], {"precision": ["fp32", "codebook", "int4"]}, {})
    run = new_run(asked, tmp_path / "run")
    report = compress(asked, tiny_task, run)
    rows = {row.label: row for row in report.rows}
    paths = {name: run.artifacts / f"model_{name}.onnx" for name in ("codebook", "int4")}
    for name, path in paths.items():
        assert read_model_file(path).precision == name
        assert rows[path.name].num_bytes == path.stat().st_size < rows["model.onnx"].num_bytes
    assert rows["model_codebook.onnx"].metrics == rows["model.onnx"].metrics
    assert rows["model_codebook.onnx"].nonzero_params == rows["model.onnx"].nonzero_params
    assert report.parity["holds"] is True
    assert {"int4 weights", "float weights"} <= {proof["one"] for proof in report.parity["integers"]}
    assert verify_paths([run.path], Inputs(images=2)).failures() == []
    smaller = next(check for check in report.checks if check.name == "smaller")
    assert "model_codebook.onnx" in str(smaller) and "model_int4.onnx" in str(smaller)


@pytest.mark.slow
def test_layers_that_are_not_shared_stop_the_codebook_by_name(tiny_task, tmp_path):
    asked = recipe(
        [{"stage": "share", "num_bits": {"stem.*": 4}, "epochs": 0}], {"precision": ["codebook"]}, {}
    )
    with pytest.raises(ExportError, match="layer 'same' has 576 distinct weights; codebook allows 256"):
        compress(asked, tiny_task, new_run(asked, tmp_path / "run"))


def test_a_sqz_file_of_per_tensor_scales_decodes_to_the_exported_files(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5)
    ).eval()
    x = torch.randn(4, 1, 8, 8)
    graph = build_graph(model, x[:1])
    grids = activation_grids(graph, calibrate_min_max(graph, [x]))
    for per_channel in (True, False):
        spec = spec_from_activations(graph, grids, per_channel=per_channel)
        written = OnnxExport(precision=("int8",), batch=1).write(graph, spec, tmp_path)
        written += TfliteExport(precision=("int8",)).write(graph, spec, tmp_path)
        (tmp_path / "model.sqz").write_bytes(emit_sqz(graph, spec))
        folder = tmp_path / f"decoded_{per_channel}"
        folder.mkdir()
        decoded = {path.name: path for path in decode_sqz(tmp_path / "model.sqz", folder)}
        for artifact in written:
            assert sha256_of(decoded[artifact.path.name]) == artifact.sha256


@pytest.mark.parametrize(
    ("onnx", "tflite", "message"),
    [
        ({"precision": ["int8"]}, {}, "asks for int8, which needs a 'ptq' or 'qat' stage"),
        ({"int8_form": "qoperator"}, {}, "int8_form needs int8 among the precisions"),
        ({}, {"int8_io": "float32"}, "int8_io needs int8 among the precisions"),
        (
            {},
            {"precision": ["int4"]},
            "found 'int4', should be 'fp32', 'fp16', 'int8', 'dynamic' or 'int8_weights'",
        ),
        ({}, {"precision": ["codebook"]}, "found 'codebook', should be 'fp32', 'fp16', 'int8'"),
        ({"precision": ["codebook"]}, {}, "asks for codebook, which needs a 'share' or 'squeeze' stage"),
        (
            {"precision": ["int2"]},
            {},
            "'fp16', 'int8', 'dynamic', 'int8_weights', 'int4' or 'codebook'",
        ),
        ({"int8_form": "tensorrt"}, {}, "found 'tensorrt', should be 'qdq' or 'qoperator'"),
        ({}, {"int8_io": "uint8"}, "found 'uint8', should be 'int8' or 'float32'"),
    ],
)
def test_settings_that_say_nothing_are_refused(onnx, tflite, message):
    with pytest.raises(RecipeError, match=message):
        recipe([], onnx, tflite)


@pytest.mark.parametrize("export", [OnnxExport(precision=("dynamic",)), TfliteExport(precision=("dynamic",))])
def test_a_network_without_dynamic_layers_is_refused_before_training(export):
    graph = build_graph(nn.Sequential(nn.Conv2d(3, 3, 3, groups=3)), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ExportError, match="no layer of this network can quantize its input at run time"):
        export.check(graph)
    export.model_copy(update={"precision": ("int8_weights",)}).check(graph)


def test_ptq_with_one_scale_per_tensor(trained_tiny):
    per_channel, per_tensor = trained_tiny
    for name, layer in per_tensor.spec.weights.items():
        assert layer.scale.shape == (1,) and layer.bias.shape == per_channel.spec.weights[name].bias.shape
        weight = per_tensor.graph.tensors[f"{name}.weight"]
        assert np.abs(layer.weight * layer.scale[0] - weight).max() <= 0.501 * layer.scale[0]
        assert layer.scale[0] == pytest.approx(max(per_channel.spec.weights[name].scale))
    assert not per_tensor.spec.per_channel and per_channel.spec.per_channel


@pytest.fixture(scope="module")
def trained_tiny(tiny_task):
    from training import Recorder

    from edgesqueeze.compression.stages import Ptq
    from edgesqueeze.task.training import Session

    torch.manual_seed(0)
    model = tiny_task.build_model().eval()
    session = Session("test", 1, Recorder())
    return [
        Ptq(method="min_max", per_channel=mode).apply(model, tiny_task, session) for mode in (True, False)
    ]
