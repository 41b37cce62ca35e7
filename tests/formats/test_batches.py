"""Files that take several inputs at once answer each of them as if it were alone, bit for bit."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from ends_networks import inputs_of, model_of
from operator_bodies import BODIES, Net
from parity_networks import network

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx, emit_onnx_weights
from edgesqueeze.formats.onnx.writing.int4 import emit_onnx_int4
from edgesqueeze.formats.onnx.writing.qoperator import emit_onnx_qoperator
from edgesqueeze.formats.tflite.writing.emit import emit_tflite, emit_tflite_weights
from edgesqueeze.network.integers.int4 import int4_weights
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.integers.weight_only import int8_weights
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.trees import leaves, map_tree

MANY = (
    *("cls", "windows", "shuffle", "matmul of channels", "matmul by a matrix", "align corners down", "chunk"),
    *("seven axes", "group norm", "reflection", "unfold of blocks", "maximum of a constant", "mean, flat"),
)
"""Bodies that the writers tell their batch, or that join a stored map with what was computed."""


def onnx_files(graph, spec, batch):
    weights = int8_weights(graph, spec)
    return {
        "fp32": emit_onnx(graph, None, batch),
        "int8": emit_onnx(graph, spec, batch),
        "qoperator": emit_onnx_qoperator(graph, spec, batch),
        "int4": emit_onnx_int4(graph, int4_weights(graph, spec), batch),
        **{
            form: emit_onnx_weights(graph, form, weights, batch)
            for form in ("fp16", "int8_weights", "dynamic")
        },
    }


def tflite_files(graph, spec, batch):
    weights = int8_weights(graph, spec)
    return {
        "fp32": emit_tflite(graph, None, batch=batch),
        "int8": emit_tflite(graph, spec, "float32", batch),
        **{
            form: emit_tflite_weights(graph, form, weights, batch)
            for form in ("fp16", "int8_weights", "dynamic")
        },
    }


def in_onnx_runtime(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda parts: session.run(None, dict(zip(names, parts, strict=True)))


def in_litert(data):
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    names = [entry["name"] for entry in interpreter.get_input_details()]

    def run(parts):
        for part, entry in zip(parts, interpreter.get_input_details(), strict=True):
            if entry["shape"][0] != len(part):
                shape = [len(part), *entry["shape"][1:]]
                interpreter.resize_tensor_input(entry["index"], shape, strict=True)
        interpreter.allocate_tensors()
        assert names == [entry["name"] for entry in interpreter.get_input_details()]
        for part, entry in zip(parts, interpreter.get_input_details(), strict=True):
            last = part.transpose(0, 2, 3, 1) if part.ndim == 4 else part
            interpreter.set_tensor(entry["index"], np.ascontiguousarray(last))
        interpreter.invoke()
        return [interpreter.get_tensor(entry["index"]) for entry in interpreter.get_output_details()]

    return run


RUNTIMES = {"onnx": (onnx_files, in_onnx_runtime), "tflite": (tflite_files, in_litert)}


def quantized(model, x):
    graph = build_graph(model, map_tree(lambda part: part[:1], x))
    return graph, make_spec(graph, calibrate_min_max(graph, [x])), [part.numpy() for part in leaves(x)]


@pytest.fixture(scope="module")
def everything():
    """One network with an output for each of MANY."""
    torch.manual_seed(3)
    model = Net(lambda m, a, b: tuple(BODIES[name](m, a, b) for name in MANY)).eval()
    return quantized(model, torch.randn(7, 3, 10, 8))


def rows(run, parts, count):
    """The answers to inputs one by one."""
    each = [run([part[i : i + 1] for part in parts]) for i in range(count)]
    return [np.concatenate(outputs) for outputs in zip(*each, strict=True)]


def check_batches(format_name, graph, spec, parts):
    write, load = RUNTIMES[format_name]
    closed, opened, fixed = (write(graph, spec, batch) for batch in (1, "open", 4))
    for precision, data in closed.items():
        expected = rows(load(data), parts, 7)
        run, four = load(opened[precision]), load(fixed[precision])
        for count in (1, 2, 7):
            found = run([part[:count] for part in parts])
            for y, wanted in zip(found, expected, strict=True):
                np.testing.assert_array_equal(y, wanted[:count], precision)
        for y, wanted in zip(four([part[2:6] for part in parts]), expected, strict=True):
            np.testing.assert_array_equal(y, wanted[2:6], precision)


@pytest.mark.parametrize("format_name", RUNTIMES)
def test_every_input_of_a_batch_is_answered_as_if_it_were_alone(format_name, everything):
    check_batches(format_name, *everything)


@pytest.mark.parametrize("format_name", RUNTIMES)
def test_several_inputs_and_outputs_are_all_of_one_batch(format_name):
    x = inputs_of("Siamese", 7)
    check_batches(format_name, *quantized(model_of("Siamese"), x))


def test_files_that_onnx_accepts(everything):
    graph, spec, _ = everything
    for data in onnx_files(graph, spec, "open").values():
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        ends = [*model.graph.input, *model.graph.output]
        assert {end.type.tensor_type.shape.dim[0].dim_param for end in ends} == {"N"}


def test_dynamic_integers_do_not_depend_on_the_neighbours():
    graph, spec = network("tiny")
    x = np.random.default_rng(0).normal(size=(4, 1, 28, 28)).astype(np.float32)
    x[1], x[2], x[3] = x[1] * 1000, 0, -np.abs(x[3])
    for write, load in RUNTIMES.values():
        closed, opened = (load(write(graph, spec, batch)["dynamic"]) for batch in (1, "open"))
        (expected,), (found,) = rows(closed, [x], 4), opened([x])
        np.testing.assert_array_equal(found, expected)


def test_a_tflite_file_has_one_delegate_before_and_after_it_is_resized():
    graph, spec = network("tiny")
    for data in tflite_files(graph, spec, "open").values():
        interpreter = Interpreter(model_content=data)
        for count in (1, 5):
            interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (count, 28, 28, 1))
            interpreter.allocate_tensors()
            interpreter.invoke()
            kinds = [op["op_name"] for op in interpreter._get_ops_details()]
            assert kinds.count("DELEGATE") == 1
            assert kinds[-1] == "DELEGATE"


def test_a_transposed_convolution_is_told_its_batch_in_tflite():
    graph, spec, parts = quantized(model_of("Tied"), inputs_of("Tied", 7))
    with pytest.raises(ExportError, match=r"layer 'up' is a transposed convolution in float.*batch: 1 or"):
        emit_tflite(graph, None, batch="open")
    for kind, batch in ((None, 4), (spec, "open")):
        (found,) = in_litert(emit_tflite(graph, kind, "float32", batch))([part[:4] for part in parts])
        (expected,) = rows(in_litert(emit_tflite(graph, kind, "float32")), parts, 4)
        np.testing.assert_array_equal(found, expected)
