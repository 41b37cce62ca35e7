"""Files with smaller weights, per-tensor scales, QOperators or float ends, in both runtimes."""

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from emit_networks import (
    SMALL_GRAPHS,
    SOURCE,
    WEIGHTED,
    calibrated,
    conv,
    graph_of,
    kernels,
    small_input,
    with_grids,
)
from onnx.reference import ReferenceEvaluator

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx, emit_onnx_weights
from edgesqueeze.formats.onnx.writing.qoperator import emit_onnx_qoperator
from edgesqueeze.formats.tflite.cut import TfliteFile
from edgesqueeze.formats.tflite.writing.emit import emit_tflite, emit_tflite_weights
from edgesqueeze.measure.proof.float_reference import float_reference
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Concat
from edgesqueeze.network.integers.inexact import inexact_nodes
from edgesqueeze.network.integers.reference import quantize_by_reciprocal, quantize_input, run_integer
from edgesqueeze.network.integers.spec import spec_from_activations
from edgesqueeze.network.integers.weight_only import int8_weights

FORMS = ("fp16", "int8_weights", "dynamic")
NO_DYNAMIC_LAYER = ("depthwise", "depthwise_multiplier")
PARTLY_DELEGATED = ("max_pool_ceil", "max_pool_padded", "resize_nearest", "input_only")
"""What XNNPACK leaves to LiteRT in every precision: padding with another value than zero, a nearest resize."""
INT8_SOFTMAX = ("softmax", "softmax_flat")
"""What XNNPACK takes in float32 only."""


def is_delegated(data):
    """Whether XNNPACK computes everything from the input to the output."""
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    ends = [d()[0]["index"] for d in (interpreter.get_input_details, interpreter.get_output_details)]
    found = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    return len(found) == 1 and ends[0] in found[0]["inputs"] and ends[1] in found[0]["outputs"]


def per_tensor(graph, x):
    return spec_from_activations(graph, calibrated(graph, x).activations, per_channel=False)


@pytest.mark.parametrize(
    ("name", "form"), [(n, f) for n in WEIGHTED for f in FORMS if f != "dynamic" or n not in NO_DYNAMIC_LAYER]
)
def test_both_runtimes_compute_what_torch_computes_with_these_weights(name, form, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    weights = int8_weights(graph, None)
    (tmp_path / "m.onnx").write_bytes(emit_onnx_weights(graph, form, weights))
    (tmp_path / "m.tflite").write_bytes(emit_tflite_weights(graph, form, weights))
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)
    assert is_delegated((tmp_path / "m.tflite").read_bytes())
    for rule, load in (("onnxruntime", load_onnx), ("xnnpack", load_tflite)):
        expected = float_reference(graph, None, form, rule).tensors(x)[graph.output.name]
        y = load(tmp_path / ("m.onnx" if rule == "onnxruntime" else "m.tflite")).predict(x)
        assert np.abs(y - expected).max() < 1e-5 * np.abs(expected).max()
    exact = float_reference(graph, None, "fp32", "any").tensors(x)[graph.output.name]
    # The tolerances above tell the precisions apart: this is how far they are from float32.
    assert np.abs(y - exact).max() > 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["conv_relu", "grouped", "dense_relu6"])
def test_onnxs_own_reference_agrees_on_dynamic(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input(3)
    data = emit_onnx_weights(graph, "dynamic", int8_weights(graph, None))
    evaluator = ReferenceEvaluator(onnx.load_from_string(data))
    theirs = np.concatenate([evaluator.run(None, {"input": x[i : i + 1]})[0] for i in range(3)])
    ours = float_reference(graph, None, "dynamic", "onnxruntime").tensors(x)[graph.output.name]
    np.testing.assert_allclose(theirs, ours, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("form", ["fp16", "int8_weights"])
def test_onnx_runtime_makes_plain_float_kernels_while_loading(form, tmp_path):
    graph = SMALL_GRAPHS["squeeze_excite"]
    assert kernels(emit_onnx_weights(graph, form, int8_weights(graph, None)), tmp_path) == kernels(
        emit_onnx(graph, None), tmp_path
    )


def test_onnx_runtime_multiplies_integers_in_dynamic_layers(tmp_path):
    graph = graph_of(
        conv("a", "input", SOURCE.shape, pads=(1, 1, 1, 1)),
        conv("b", "input", SOURCE.shape, pads=(1, 1, 1, 1), groups=2),
        Concat(name="cat", inputs=("a", "b"), shape=(1, 32, 13, 12)),
        conv("d", "cat", (1, 32, 13, 12), groups=32, out=32),
    )
    found = kernels(emit_onnx_weights(graph, "dynamic", int8_weights(graph, None)), tmp_path)
    # Both read the same tensor: it is quantized once. The depthwise layer stays float.
    assert (found["ConvInteger"], found["DynamicQuantizeLinear"]) == (2, 1)
    assert found["Conv"] + found["FusedConv"] == 1
    dense = SMALL_GRAPHS["dense"]
    data = emit_onnx_weights(dense, "dynamic", int8_weights(dense, None))
    assert kernels(data, tmp_path)["DynamicQuantizeMatMul"] == 1


@pytest.mark.parametrize("emit", [emit_onnx_weights, emit_tflite_weights])
def test_what_has_no_such_form_is_refused(emit):
    for name in ("depthwise", "max_pool"):
        graph = SMALL_GRAPHS[name]
        with pytest.raises(ExportError, match="no layer of this network can quantize its input at run time"):
            emit(graph, "dynamic", int8_weights(graph, None))
    large = graph_of(conv("c", "input", SOURCE.shape))
    large.tensors["c.weight"][0, 0, 0, 0] = 7e4
    with pytest.raises(
        ExportError, match="layer 'c' has a weight or bias of magnitude 70000; float16 ends at 65504"
    ):
        emit(large, "fp16", {})


def test_weights_take_as_many_bytes_as_they_should():
    graph = SMALL_GRAPHS["dense"]
    size, biases = graph.tensors["fc.weight"].size, 4 * 10
    for emit, emit_weights in ((emit_onnx, emit_onnx_weights), (emit_tflite, emit_tflite_weights)):
        plain = len(emit(graph, None))
        for form, width in (("fp16", 2), ("int8_weights", 1), ("dynamic", 1)):
            saved = plain - len(emit_weights(graph, form, int8_weights(graph, None)))
            assert (4 - width) * size - 1100 < saved <= (4 - width) * size + biases


# -- one scale per tensor ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL_GRAPHS)
def test_one_scale_per_tensor_and_qoperators_give_the_reference_integers(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    for spec in (calibrated(graph, x), per_tensor(graph, x)):
        files = {
            "q.onnx": emit_onnx_qoperator(graph, spec),
            "m.onnx": emit_onnx(graph, spec),
            "m.tflite": emit_tflite(graph, spec),
        }
        onnx.checker.check_model(onnx.load_from_string(files["q.onnx"]), full_check=True)
        for file, data in files.items():
            (tmp_path / file).write_bytes(data)
        qoperator, qdq = (load_onnx(tmp_path / file).predict_integers(x) for file in ("q.onnx", "m.onnx"))
        np.testing.assert_array_equal(qoperator, qdq)
        found = load_tflite(tmp_path / "m.tflite").predict_integers(x)
        for integers, sums in ((found, "xnnpack"), (qdq, "onnxruntime")):
            expected = run_integer(graph, spec, x, sums)
            most = 1 if inexact_nodes(graph, spec, sums) else 0
            assert np.abs(integers.astype(int) - expected).max() <= most, sums
        assert is_delegated(files["m.tflite"]) is not (name in (*PARTLY_DELEGATED, *INT8_SOFTMAX))


def test_one_scale_per_tensor_is_a_scalar_without_an_axis(tmp_path):
    graph, x = SMALL_GRAPHS["squeeze_excite"], small_input()
    graph = graph_of(*graph.nodes[1:], conv("dw", "sum", (1, 16, 13, 12), groups=16, out=16))
    spec = per_tensor(graph, x)
    assert not spec.per_channel and calibrated(graph, x).per_channel
    for emit in (emit_onnx, emit_onnx_qoperator):
        model = onnx.load_from_string(emit(graph, spec)).graph
        scales = {t.name: tuple(t.dims) for t in model.initializer if t.name.endswith(("_scale", ".scale"))}
        assert set(scales.values()) == {()}
        assert {"c1.weight_scale", "dw.weight_scale"} <= set(scales)
        linear = [node for node in model.node if node.op_type == "DequantizeLinear"]
        assert all(attribute.name != "axis" for node in linear for attribute in node.attribute)
    (tmp_path / "m.tflite").write_bytes(emit_tflite(graph, spec))
    file = TfliteFile(tmp_path / "m.tflite")
    for tensor in file.graph.tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            assert len(tensor.quantization.scale) == len(tensor.quantization.zeroPoint) == 1
            assert tensor.quantization.quantizedDimension == 0


def test_qoperators_leave_nothing_in_float(tmp_path):
    x, moves = (
        small_input(),
        {"Transpose", "Reshape", "Flatten", "MaxPool", "NhwcMaxPool", "Slice", "Pad", "Clip"},
    )
    for name in (
        "dense",
        "max_pool_padded_relu",
        "concat",
        "add_relu6",
        "squeeze_excite",
        "slice",
        "shuffle",
        "pad",
    ):
        graph = SMALL_GRAPHS[name]
        found = kernels(emit_onnx_qoperator(graph, calibrated(graph, x)), tmp_path)
        assert found.pop("QuantizeLinear") == found.pop("DequantizeLinear") == 1
        assert all(kind.startswith("Q") or kind in moves for kind in found), (name, found)


# -- float ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv_relu", "dense", "add_relu", "input_only"])
def test_float_ends_quantize_inside(name, tmp_path):
    graph, x = SMALL_GRAPHS[name], small_input()
    spec = calibrated(graph, x)
    (tmp_path / "i.tflite").write_bytes(emit_tflite(graph, spec))
    (tmp_path / "f.tflite").write_bytes(emit_tflite(graph, spec, "float32"))
    inner, outer = load_tflite(tmp_path / "i.tflite"), load_tflite(tmp_path / "f.tflite")
    np.testing.assert_array_equal(outer.predict(x), inner.predict(x))
    np.testing.assert_array_equal(outer.predict_integers(x), inner.predict_integers(x))
    interpreter = Interpreter(model_path=str(tmp_path / "f.tflite"))
    kinds = [d["dtype"] for d in (*interpreter.get_input_details(), *interpreter.get_output_details())]
    assert kinds == [np.float32, np.float32]
    assert is_delegated((tmp_path / "f.tflite").read_bytes())


def test_xnnpack_multiplies_by_the_reciprocal_of_the_scale(tmp_path):
    graph = SMALL_GRAPHS["input_only"]
    spec = with_grids(graph, {"input": (-1.3, 2.1)})
    grid = spec.activations["input"]
    steps = np.arange(8 * 13 * 12) % 255 - 128 - grid.zero_point + 0.5
    ties = (steps * np.float64(grid.scale)).astype(np.float32).reshape(1, 8, 13, 12)
    (tmp_path / "f.tflite").write_bytes(emit_tflite(graph, spec, "float32"))
    found = load_tflite(tmp_path / "f.tflite").predict_integers(ties)
    np.testing.assert_array_equal(found, quantize_by_reciprocal(ties, grid))
    assert np.any(found != quantize_input(ties, grid)), "these inputs do not tell the two rules apart"
