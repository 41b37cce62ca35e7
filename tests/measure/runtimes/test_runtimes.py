"""Files loaded back and run: ours, torch's own, and broken ones."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Conv, Graph, Input
from edgesqueeze.network.integers.reference import dequantize, quantize_input, run_integer
from edgesqueeze.network.integers.spec import activation_quant, spec_from_activations

LOADERS = {"onnx": (load_onnx, emit_onnx), "tflite": (load_tflite, emit_tflite)}


def small_graph():
    rng = np.random.default_rng(0)
    source = Input(name="input", inputs=(), shape=(1, 3, 6, 5))
    node = Conv(
        name="c",
        inputs=("input",),
        shape=(1, 4, 6, 5),
        kernel=(3, 3),
        stride=(1, 1),
        pads=(1, 1, 1, 1),
        dilation=(1, 1),
        groups=1,
        activation="none",
    )
    tensors = {"c.weight": rng.normal(size=(4, 3, 3, 3)), "c.bias": rng.normal(size=4)}
    graph = Graph((source, node), {name: t.astype(np.float32) for name, t in tensors.items()})
    return graph, spec_from_activations(
        graph, {"input": activation_quant(-3, 3), "c": activation_quant(-9, 8)}
    )


def pictures(count=3):
    return np.random.default_rng(1).normal(size=(count, 3, 6, 5)).astype(np.float32)


@pytest.fixture(params=LOADERS)
def kind(request):
    return request.param


def written(directory, kind, spec_wanted):
    graph, spec = small_graph()
    path = directory / f"model.{kind}"
    path.write_bytes(LOADERS[kind][1](graph, spec if spec_wanted else None))
    return path


def test_int8_outputs_as_integers_and_as_reals(kind, tmp_path):
    graph, spec = small_graph()
    predictor = LOADERS[kind][0](written(tmp_path, kind, spec_wanted=True))
    expected = run_integer(graph, spec, pictures())
    q = predictor.predict_integers(pictures())
    assert q.dtype == np.int8
    np.testing.assert_array_equal(q, expected)
    y = predictor.predict(pictures())
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, dequantize(expected, spec.activations["c"]))


@pytest.mark.parametrize("int8", [False, True])
def test_a_prepared_call_can_be_repeated(kind, int8, tmp_path):
    predictor = LOADERS[kind][0](written(tmp_path, kind, int8), threads=2)
    assert predictor.threads == 2
    assert predictor.runtime.split()[0] in {"onnxruntime", "ai-edge-litert"}
    assert predictor.runtime.split()[1][0].isdigit()
    before = predictor.predict(pictures(1))
    run = predictor.prepare(pictures(1))
    answers = [run() for _ in range(3)]
    if kind == "onnx":
        np.testing.assert_array_equal(answers[2][0], before)
    np.testing.assert_array_equal(predictor.predict(pictures(1)), before)


def test_a_float_file_has_no_integers(kind, tmp_path):
    predictor = LOADERS[kind][0](written(tmp_path, kind, spec_wanted=False))
    with pytest.raises(ExportError, match="is not quantized to 8 bits"):
        predictor.predict_integers(pictures())


def test_an_input_of_another_shape_is_refused(kind, tmp_path):
    predictor = LOADERS[kind][0](written(tmp_path, kind, spec_wanted=False))
    with pytest.raises(ExportError, match=r"one float or 8-bit image of shape \[1, 3, 7, 7\] is wanted"):
        predictor.predict(np.zeros((1, 3, 7, 7), np.float32))
    with pytest.raises(ExportError, match="is wanted"):
        predictor.prepare(np.zeros((1, 90), np.float32))


@pytest.mark.parametrize(
    "damage", ["missing", "directory", "empty", "text", "half", "no end", "other format"]
)
def test_unusable_files_are_named_in_one_sentence(kind, damage, tmp_path):
    path = written(tmp_path, kind, spec_wanted=True)
    data = path.read_bytes()
    other = written(tmp_path, "tflite" if kind == "onnx" else "onnx", spec_wanted=True).read_bytes()
    if damage in ("missing", "directory"):
        path.unlink()
    if damage == "directory":
        path.mkdir()
    contents = {
        "empty": b"",
        "text": b"hello\n" * 100,
        "half": data[: len(data) // 2],
        "no end": data[:-9],
        "other format": other,
    }
    if damage in contents:
        path.write_bytes(contents[damage])
    with pytest.raises(ExportError) as caught:
        LOADERS[kind][0](path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


_LOAD_AND_FAIL = """
import sys
from pathlib import Path
from edgesqueeze.errors import ExportError
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.measure.runtimes.litert import load_tflite
load = {".onnx": load_onnx, ".tflite": load_tflite}[Path(sys.argv[1]).suffix]
load(Path(sys.argv[1]))
try:
    load(Path(sys.argv[2]))
except ExportError:
    sys.stderr.write("refused")
"""


def test_the_runtimes_keep_quiet(kind, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"hello\n" * 100)
    command = [sys.executable, "-c", _LOAD_AND_FAIL, written(tmp_path, kind, spec_wanted=True), broken]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "refused")


@pytest.mark.slow
def test_a_dynamic_batch_from_torch(tmp_path, recwarn):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)).eval()
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 6, 5),),
        tmp_path / "t.onnx",
        dynamo=True,
        verbose=False,
        input_names=["picture"],
        dynamic_shapes=({0: batch},),
    )
    recwarn.clear()
    predictor = load_onnx(tmp_path / "t.onnx")
    with torch.no_grad():
        expected = model(torch.from_numpy(pictures())).numpy()
    np.testing.assert_allclose(predictor.predict(pictures()), expected, atol=1e-5)


def relu_file(path, types, inputs, outputs):
    """A foreign ONNX file: Relu from each input to an output."""
    ends = [
        [helper.make_tensor_value_info(n, types, [1, 3, 6, 5]) for n in names] for names in (inputs, outputs)
    ]
    nodes = [helper.make_node("Relu", [inputs[i % len(inputs)]], [name]) for i, name in enumerate(outputs)]
    graph = helper.make_graph(nodes, "g", *ends)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return load_onnx(path)


def test_several_ends_are_refused_but_several_outputs_can_be_timed(tmp_path):
    predictor = relu_file(tmp_path / "outputs.onnx", TensorProto.FLOAT, ["a"], ["b", "c"])
    assert len(predictor.prepare(pictures(1))()) == 2
    with pytest.raises(ExportError, match="has 2 outputs"):
        predictor.predict(pictures(1))
    predictor = relu_file(tmp_path / "inputs.onnx", TensorProto.FLOAT, ["a", "b"], ["c", "d"])
    with pytest.raises(ExportError, match=r"takes a tensor\(float\)"):
        predictor.prepare(pictures(1))
    predictor = relu_file(tmp_path / "double.onnx", TensorProto.DOUBLE, ["a"], ["b"])
    with pytest.raises(ExportError, match=r"takes a tensor\(double\)"):
        predictor.prepare(pictures(1))


def quantize_file(path, kind):
    """A foreign TFLite file: one QUANTIZE to uint8 or int8 and nothing else, input already quantized."""
    from ai_edge_litert import schema_py_generated as schema

    from edgesqueeze.formats.tflite import flatbuffer

    model = flatbuffer.FlatModel()
    grid = flatbuffer.Quantization(np.array([0.05], np.float32), np.array([130 if kind == "uint8" else 2]))
    ends = [model.tensor(name, (1, 6, 5, 3), "int8", grid) for name in "ab"]
    if kind == "uint8":
        for tensor in model._tensors:
            tensor.type = schema.TensorType.UINT8
    options = schema.Pool2DOptionsT()
    options.strideH = options.strideW = options.filterHeight = options.filterWidth = 1
    model.operator(schema.BuiltinOperator.MAX_POOL_2D, 2, ends[:1], ends[1], options)
    path.write_bytes(model.pack({"a": ends[0]}, {"b": ends[1]}))
    return load_tflite(path)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_quantized_inputs_of_both_signs(kind, tmp_path):
    predictor = quantize_file(tmp_path / "q.tflite", kind)
    grid = activation_quant(-6.5, 6.25)
    grid = type(grid)(float(np.float32(0.05)), 2)
    expected = quantize_input(pictures(), grid)
    np.testing.assert_array_equal(predictor.predict_integers(pictures()), expected)
    np.testing.assert_array_equal(predictor.predict(pictures()), dequantize(expected, grid))
