"""Every function of single values, in both formats: 256 of 256 integers, and torch's numbers in float."""

import numpy as np
import onnx
import pytest
import torch
from function_calls import CALLS, call_id, range_of

from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.floats.run import run_graph
from edgesqueeze.network.graph.functions import Call
from edgesqueeze.network.graph.nodes import Graph, Input, Pointwise
from edgesqueeze.network.integers.align import table_grid
from edgesqueeze.network.integers.ranges import merge_ranges
from edgesqueeze.network.integers.reference import dequantize, run_integer
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, make_spec
from edgesqueeze.network.integers.tables import is_table_safe

SHAPE = (1, 4, 8, 8)
INTEGERS = np.arange(-128, 128, dtype=np.int8).reshape(SHAPE)


def graph_of(call):
    source = Input(name="input", inputs=(), shape=SHAPE)
    node = Pointwise(
        name="f", inputs=("input",), shape=SHAPE, function=call.function, parameters=call.parameters
    )
    return Graph((source, node), {})


def answers(call, graph, ends):
    """The range of the function over a range of inputs, seen as calibration would see it."""
    x = torch.linspace(*ends, 4 * 64 * 4).reshape(4, *SHAPE[1:])
    y = run_graph(graph, x, {})
    assert torch.isfinite(y).all(), call
    return float(y.min()), float(y.max())


def load(directory, graph, spec):
    for name, emit in (("m.onnx", emit_onnx), ("m.tflite", emit_tflite)):
        (directory / name).write_bytes(emit(graph, spec))
    return load_onnx(directory / "m.onnx"), load_tflite(directory / "m.tflite")


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_all_256_integers_are_the_same_in_both_runtimes(call, tmp_path):
    graph, ends = graph_of(call), range_of(call)
    spec = make_spec(graph, merge_ranges(graph, {"input": ends, "f": answers(call, graph, ends)}))
    x = dequantize(INTEGERS, spec.activations["input"])
    expected = run_integer(graph, spec, x)
    assert len(np.unique(expected)) > (2 if call.function == "sign" else 10)
    onnx.checker.check_model(onnx.load_from_string(emit_onnx(graph, spec)), full_check=True)
    for predictor in load(tmp_path, graph, spec):
        np.testing.assert_array_equal(predictor.predict_integers(x), expected)


def test_a_value_that_float32_puts_on_a_step_is_moved_off_it(tmp_path):
    """Exactly it is a little above the threshold; in the runtimes' float32 it is the threshold."""
    grid = ActivationQuant(float(np.float32(0.0173)), -3)
    exact = np.arange(1, 100) * grid.scale
    limits = exact.astype(np.float32)
    limit = float(limits[exact > limits][0])
    call, out = Call("threshold", (limit, -2.0)), ActivationQuant(float(np.float32(0.0171)), 0)
    assert not is_table_safe(call, grid, out)
    assert is_table_safe(call, table_grid(call, grid, out), out)
    graph, x = graph_of(call), dequantize(INTEGERS, grid)
    spec = QuantSpec({"input": grid, "f": out}, {})
    for predictor in load(tmp_path, graph, spec):
        np.testing.assert_array_equal(predictor.predict_integers(x), run_integer(graph, spec, x))


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_float_files_compute_what_torch_computes(call, tmp_path):
    graph = graph_of(call)
    x = np.linspace(*range_of(call), 256, dtype=np.float32).reshape(SHAPE)
    expected = run_graph(graph, torch.from_numpy(x), {}).numpy()
    onnx.checker.check_model(onnx.load_from_string(emit_onnx(graph, None)), full_check=True)
    for predictor in load(tmp_path, graph, None):
        np.testing.assert_allclose(predictor.predict(x), expected, atol=1e-5, rtol=1e-5)
