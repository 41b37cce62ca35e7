"""Layers kept in float in int8 files: float kernels in both runtimes, int8 tensors around them."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from emit_networks import SMALL_GRAPHS, SOURCE, calibrated, conv, graph_of, small_input

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.integers.reference import dequantize, quantize_input, run_integer
from edgesqueeze.network.integers.spec import float_layers, make_spec

WEIGHTED = [name for name, graph in SMALL_GRAPHS.items() if graph.weighted]


def kept_spec(graph, x, names):
    return make_spec(graph, calibrate_min_max(graph, [torch.from_numpy(x)]), names)


def load(directory, graph, spec):
    for name, emit in (("m.onnx", emit_onnx), ("m.tflite", emit_tflite)):
        (directory / name).write_bytes(emit(graph, spec))
    return load_onnx(directory / "m.onnx"), load_tflite(directory / "m.tflite")


@pytest.mark.parametrize("name", WEIGHTED)
def test_every_layout_of_a_float_layer(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    spec = kept_spec(graph, x, [node.name for node in graph.weighted])
    onnx.checker.check_model(onnx.load_from_string(emit_onnx(graph, spec)), full_check=True)
    for predictor in load(tmp_path, graph, spec):
        apart = np.abs(predictor.predict_integers(x).astype(int) - run_integer(graph, spec, x))
        assert apart.max() <= 1
        # A sum that lands on the other side of a half is rare: int8 weights would differ in tenths of the values.
        assert np.count_nonzero(apart) <= 0.003 * apart.size


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
def test_the_reference_is_the_float_layer_in_float64(activation):
    node = conv("c", "input", SOURCE.shape, pads=(1, 0, 1, 2), stride=(2, 1), activation=activation)
    graph, x = graph_of(node, scale=0.6), small_input()
    spec = kept_spec(graph, x, ["c"])
    grid = spec.activations["input"]
    real = torch.from_numpy(dequantize(quantize_input(x, grid), grid)).double()
    weight, bias = (torch.from_numpy(graph.tensors[f"c.{n}"]).double() for n in ("weight", "bias"))
    y = torch.nn.functional.conv2d(torch.nn.functional.pad(real, (0, 2, 1, 1)), weight, bias, (2, 1))
    y = y if activation == "none" else y.clamp(0, 6 if activation == "relu6" else None)
    expected = quantize_input(y.float().numpy(), spec.activations["c"])
    np.testing.assert_array_equal(run_integer(graph, spec, x), expected)


def chain():
    first = conv("first", "input", SOURCE.shape, activation="relu")
    middle = conv("middle", "first", first.shape, activation="relu6")
    return graph_of(first, middle, conv("last", "middle", middle.shape))


def test_onnx_runtime_does_not_put_integers_of_its_own_there(tmp_path):
    graph, x = chain(), small_input()
    for kept in (["first"], ["middle"], ["last"], ["first", "middle"]):
        spec = kept_spec(graph, x, kept)
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 4
        onnxruntime.InferenceSession(emit_onnx(graph, spec), options, providers=["CPUExecutionProvider"])
        kernels = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
        assert kernels["QLinearConv"] == 3 - len(kept)
        assert kernels["Conv"] + kernels["FusedConv"] == len(kept)


def test_what_the_files_hold(tmp_path):
    graph, x = chain(), small_input()
    spec = kept_spec(graph, x, ["first", "last"])
    assert float_layers(graph, spec) == ("first", "last")
    load(tmp_path, graph, spec)
    for path in (tmp_path / "m.onnx", tmp_path / "m.tflite"):
        facts = read_model_file(path)
        assert facts.float_weights == ("first.weight", "last.weight")
        assert facts.precision == "mixed"
        assert facts.weight_dtypes["float32"] == sum(
            graph.tensors[f"{layer}.{kind}"].size
            for layer in ("first", "last")
            for kind in ("weight", "bias")
        )
    operators = read_model_file(tmp_path / "m.tflite").operators
    assert operators == {"CONV_2D": 3, "DEQUANTIZE": 2, "QUANTIZE": 2}
    (tmp_path / "m.onnx").write_bytes(emit_onnx(graph, calibrated(graph, x)))
    assert read_model_file(tmp_path / "m.onnx").float_weights == ()
