"""The same graph gives the same bytes, in any process, without torch."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from emit_networks import SMALL_GRAPHS, calibrated, small_input

from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite

_WITHOUT_TORCH = """
import hashlib, sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # importing either now raises ImportError
import numpy as np
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.network.integers.reference import run_integer
from edgesqueeze.network.graph.nodes import Conv, Dense, Flatten, Graph, GlobalAvgPool, Input
from edgesqueeze.network.integers.spec import activation_quant, spec_from_activations
nodes = (
    Input(name="input", inputs=(), shape=(1, 3, 8, 8)),
    Conv(name="c", inputs=("input",), shape=(1, 4, 8, 8), kernel=(3, 3), stride=(1, 1), pads=(1, 1, 1, 1),
         dilation=(1, 1), groups=1, activation="relu"),
    Flatten(name="f", inputs=("c",), shape=(1, 256)),
    Dense(name="d", inputs=("f",), shape=(1, 5), activation="none"),
)
rng = np.random.default_rng(0)
shapes = {"c.weight": (4, 3, 3, 3), "c.bias": (4,), "d.weight": (5, 256), "d.bias": (5,)}
graph = Graph(nodes, {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})
grids = {"input": activation_quant(-1, 1), "d": activation_quant(-50, 50)}
grids |= dict.fromkeys("cf", activation_quant(0, 9))
spec = spec_from_activations(graph, grids)
for emit in (emit_onnx, emit_tflite):
    for integers in (None, spec):
        print(hashlib.sha256(emit(graph, integers)).hexdigest())
print(run_integer(graph, spec, rng.normal(size=(2, 3, 8, 8)).astype(np.float32)).tolist())
"""


def run_without_torch(seed):
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", _WITHOUT_TORCH]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_two_processes_write_equal_bytes_without_torch():
    first, second = run_without_torch("1"), run_without_torch("2")
    assert first == second
    assert len(set(first.split("\n")[:4])) == 4


@pytest.mark.parametrize("emit", [emit_onnx, emit_tflite])
@pytest.mark.parametrize("name", ["conv_relu6", "concat", "clamp_flat"])
def test_emitting_twice_gives_equal_bytes(name, emit):
    graph = SMALL_GRAPHS[name]
    for spec in (None, calibrated(graph, small_input())):
        first, second = emit(graph, spec), emit(graph, spec)
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_onnx_names_its_layers_and_no_versions_of_libraries():
    graph = SMALL_GRAPHS["clamp_flat"]
    model = onnx.load_from_string(emit_onnx(graph, calibrated(graph, small_input())))
    assert (model.producer_name, model.producer_version) == ("edgesqueeze", "")
    assert {"fc.weight", "fc.bias"} <= {tensor.name for tensor in model.graph.initializer}
    contents = [(t.data_type, tuple(t.dims), t.raw_data) for t in model.graph.initializer if not t.dims]
    assert len(set(contents)) == len(contents), "a scalar is stored twice"
    assert [entry.name for entry in (*model.graph.input, *model.graph.output)] == ["input", "output"]


def test_tflite_follows_the_schema():
    graph = SMALL_GRAPHS["concat"]
    data = emit_tflite(graph, calibrated(graph, small_input()))
    assert data[4:8] == b"TFL3"
    model = schema.Model.GetRootAs(data)
    assert (model.Version(), model.Description()) == (3, b"edgesqueeze")
    signature = model.SignatureDefs(0)
    assert (signature.SignatureKey(), signature.Inputs(0).Name()) == (b"serving_default", b"input")
    base = np.frombuffer(data, np.uint8).ctypes.data
    for i in range(1, model.BuffersLength()):
        buffer = model.Buffers(i)
        vector = buffer.DataAsNumpy()
        assert (vector.ctypes.data - base) % 16 == 0, "constants must lie at multiples of 16 bytes"
    assert flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0) < len(data)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("conv_valid", {"CONV_2D"}),
        ("conv_same", {"CONV_2D"}),
        ("conv_same_even", {"CONV_2D"}),
        ("conv_not_same_even", {"CONV_2D", "PAD"}),
        ("conv_torch_stride", {"CONV_2D", "PAD"}),
        ("conv_unused_rows", {"CONV_2D"}),
        ("depthwise", {"DEPTHWISE_CONV_2D"}),
        ("max_pool_ceil", {"MAX_POOL_2D", "PADV2"}),
        ("max_pool_padded_relu", {"CONV_2D", "MAX_POOL_2D", "PAD"}),
        ("dense", {"MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED"}),
    ],
)
def test_tflite_operators_are_the_fewest_that_do(name, wanted):
    names = {code: key for key, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    model = schema.Model.GetRootAs(emit_tflite(SMALL_GRAPHS[name], None))
    codes = [model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())]
    assert {names[code] for code in codes} == wanted


def test_the_files_do_not_carry_the_place_where_they_were_made(tmp_path):
    graph = SMALL_GRAPHS["dense"]
    for emit in (emit_onnx, emit_tflite):
        assert str(Path.cwd()).encode() not in emit(graph, None)
