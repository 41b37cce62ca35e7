"""What is read from ONNX and TFLite files, ours and others'."""

import json
import random

import flatbuffers
import hostile
import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import read_model_file, stored_integers
from edgesqueeze.formats.onnx.write import emit_onnx
from edgesqueeze.formats.tflite.write import emit_tflite
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph

EMITTERS = {".onnx": emit_onnx, ".tflite": emit_tflite}


def lenet5_graph():
    torch.manual_seed(0)
    model = built_in_model("lenet5").build()
    with torch.no_grad():
        model.fc1.weight[100:] = 0
    return build_graph(model, torch.zeros(1, 1, 28, 28))


@pytest.fixture(scope="module")
def lenet5():
    graph = lenet5_graph()
    spec = make_spec(graph, calibrate_min_max(graph, [torch.randn(4, 1, 28, 28)]))
    return graph, spec


def written(path, data):
    path.write_bytes(data)
    return read_model_file(path)


# -- files of our own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", EMITTERS)
def test_float_file_agrees_with_its_graph(suffix, lenet5, tmp_path):
    facts = written(tmp_path / f"m{suffix}", EMITTERS[suffix](lenet5[0], None))
    counts = count_graph(lenet5[0])
    assert facts.num_bytes == (tmp_path / f"m{suffix}").stat().st_size
    assert (facts.params, facts.nonzero_params) == (counts.params, counts.nonzero_params)
    assert (facts.macs, facts.flops) == (counts.macs, counts.flops)
    assert facts.effective_macs == counts.effective_macs
    assert facts.precision == "fp32"
    assert facts.weight_dtypes == {"float32": 431_080}
    assert facts.format == suffix[1:]
    assert sorted(facts.inputs[0].shape) == [1, 1, 28, 28]
    assert facts.outputs[0].shape == (1, 10)


@pytest.mark.parametrize("suffix", EMITTERS)
def test_int8_file_counts_every_weight_once_and_no_scale(suffix, lenet5, tmp_path):
    graph, spec = lenet5
    facts = written(tmp_path / f"m{suffix}", EMITTERS[suffix](graph, spec))
    assert (facts.params, facts.macs) == (431_080, 2_293_000)
    assert facts.weight_dtypes == {"int8": 430_500, "int32": 580}
    assert facts.precision == "int8"
    stored = [part for layer in spec.weights.values() for part in (layer.weight, layer.bias)]
    assert facts.nonzero_params == sum(int(np.count_nonzero(part)) for part in stored)


def test_operator_counts(lenet5, tmp_path):
    onnx_facts = written(tmp_path / "m.onnx", emit_onnx(lenet5[0], None))
    assert onnx_facts.operators["Conv"] == 2
    assert onnx_facts.operators["Gemm"] == 2
    tflite_facts = written(tmp_path / "m.tflite", emit_tflite(lenet5[0], None))
    assert tflite_facts.operators["CONV_2D"] == 2
    assert tflite_facts.operators["FULLY_CONNECTED"] == 2
    assert sum(tflite_facts.operators.values()) == 7  # two pools, one reshape


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 12, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(torch.relu(self.point(self.depthwise(torch.relu(self.stem(x))))).mean((2, 3)))


@pytest.mark.parametrize("suffix", EMITTERS)
def test_depthwise_convolutions(suffix, tmp_path):
    graph = build_graph(Depthwise(), torch.zeros(1, 3, 16, 16))
    facts = written(tmp_path / f"m{suffix}", EMITTERS[suffix](graph, None))
    counts = count_graph(graph)
    assert (facts.params, facts.macs) == (counts.params, counts.macs)


def test_facts_are_plain_json(lenet5, tmp_path):
    facts = written(tmp_path / "m.tflite", emit_tflite(lenet5[0], None))
    data = json.loads(json.dumps(facts.to_json()))
    assert data["flops"] == 4_586_000
    assert data["path"] == str(tmp_path / "m.tflite")


# -- ONNX files of others ------------------------------------------------------------------------------


def onnx_file(path, nodes, shapes, weights, opset=17):
    """A model from ``shapes["x"]`` to ``shapes["y"]``; a string is a dynamic dimension."""
    ends = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in shapes.items()
    }
    initializers = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "g", [ends["x"]], [ends["y"]], initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return read_model_file(path)


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.mark.slow
def test_a_file_of_torchs_exporter_with_a_dynamic_batch(tmp_path):
    model = built_in_model("lenet5").build().eval()
    path = tmp_path / "torch.onnx"
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        model, (torch.zeros(2, 1, 28, 28),), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    program.save(path)
    facts = read_model_file(path)
    assert facts.inputs[0].shape == (None, 1, 28, 28)
    assert (facts.params, facts.macs, facts.precision) == (431_080, 2_293_000, "fp32")


def test_external_data_counts_as_bytes_of_the_model(lenet5, tmp_path):
    model = onnx.load_from_string(emit_onnx(lenet5[0], None))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data")
    facts = read_model_file(tmp_path / "m.onnx")
    assert facts.num_bytes == sum((tmp_path / name).stat().st_size for name in ("m.onnx", "m.data"))
    assert facts.params == 431_080
    (tmp_path / "m.data").unlink()
    with pytest.raises(ExportError, match=r"m\.onnx is not a readable ONNX model: .*m\.data"):
        read_model_file(tmp_path / "m.onnx")


def test_matmul_with_a_bias_behind_it_and_a_scalar(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Mul", ["c", "half"], ["y"]),
    ]
    weights = {"w": ones(6, 4), "b": ones(4), "half": np.float32(0.5)}
    facts = onnx_file(tmp_path / "m.onnx", nodes, {"x": ["n", 5, 6], "y": ["n", 5, 4]}, weights)
    assert (facts.params, facts.macs) == (28, 5 * 6 * 4)


def test_transposed_gemm_and_convolution(tmp_path):
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["m"], strides=[2, 2]),
        helper.make_node("Reshape", ["m", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "g"], ["y"], transA=1),
    ]
    weights = {"w": ones(3, 4, 2, 2), "shape": np.array([4, 100], np.int64), "g": ones(4, 7)}
    facts = onnx_file(tmp_path / "m.onnx", nodes, {"x": [1, 3, 5, 5], "y": [100, 7]}, weights)
    assert facts.params == 3 * 4 * 4 + 28  # the target shape is no parameter
    assert facts.macs == 25 * 3 * 4 * 4 + 100 * 4 * 7


def test_batch_norm_statistics_are_no_parameters(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gain", "shift", "mean", "var"], ["y"]),
    ]
    weights = {"w": ones(4, 2, 3, 3), "gain": ones(4), "shift": ones(4), "mean": ones(4), "var": ones(4)}
    facts = onnx_file(tmp_path / "m.onnx", nodes, {"x": [1, 2, 8, 8], "y": [1, 4, 6, 6]}, weights)
    assert (facts.params, facts.macs) == (72 + 8, 72 * 36)


def test_integer_operators_and_the_zero_point_of_weights(tmp_path):
    weight = np.full((4, 2, 3, 3), 130, np.uint8)
    weight[0] = 128
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "wz", "s", "z", "b"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"]),
    ]
    weights = {
        "s": np.float32(0.1),
        "z": np.uint8(3),
        "wz": np.uint8(128),
        "w": weight,
        "b": ones(4, dtype=np.int32),
    }
    facts = onnx_file(tmp_path / "m.onnx", nodes, {"x": ["n", 2, 8, 8], "y": ["n", 4, 6, 6]}, weights)
    assert (facts.params, facts.macs, facts.precision) == (76, 72 * 36, "int8")
    assert facts.nonzero_params == 54 + 4  # 128 stands for zero


def test_integer_weights_read_by_float_arithmetic_are_int8_weights(tmp_path):
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"], axis=0),
        helper.make_node("Conv", ["x", "wf"], ["y"]),
    ]
    zero_points = np.array([0, 1, 0, 0], np.int8)
    weights = {"w": ones(4, 2, 3, 3, dtype=np.int8), "s": ones(4), "z": zero_points}
    facts = onnx_file(tmp_path / "m.onnx", nodes, {"x": [1, 2, 8, 8], "y": [1, 4, 6, 6]}, weights)
    assert (facts.params, facts.nonzero_params, facts.precision) == (72, 54, "int8_weights")


def test_half_precision(tmp_path):
    nodes = [
        helper.make_node("Cast", ["w"], ["wf"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "wf"], ["y"]),
    ]
    facts = onnx_file(
        tmp_path / "m.onnx", nodes, {"x": [1, 6], "y": [1, 4]}, {"w": ones(6, 4, dtype=np.float16)}
    )
    assert (facts.params, facts.macs, facts.precision) == (24, 24, "fp16")


def test_a_weight_used_twice_is_one_weight_and_two_multiplications(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    facts = onnx_file(tmp_path / "m.onnx", nodes, {"x": [1, 4], "y": [1, 4]}, {"w": ones(4, 4)})
    assert (facts.params, facts.macs) == (16, 32)


def test_macs_that_cannot_be_known_are_none(tmp_path):
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    weights = {"w": ones(4, 2, 3, 3)}
    open_size = onnx_file(
        tmp_path / "size.onnx",
        [conv, helper.make_node("Relu", ["c"], ["y"])],
        {"x": ["n", 2, "h", "w_"], "y": ["n", 4, "i", "j"]},
        weights,
    )
    assert (open_size.params, open_size.macs, open_size.flops) == (72, None, None)
    assert open_size.macs_unknown == "a shape of operator Conv is only known at run time"
    shapes = {"x": [1, 2, 8, 8], "y": [1, 4, 6, 6]}
    foreign = [conv, helper.make_node("Mystery", ["c"], ["y"], domain="com.example")]
    facts = onnx_file(tmp_path / "foreign.onnx", foreign, shapes, weights)
    assert facts.macs is None
    assert facts.macs_unknown == "the work of operator com.example.Mystery is not known"
    assert facts.operators == {"Conv": 1, "com.example.Mystery": 1}
    einsum = [conv, helper.make_node("Einsum", ["c", "c"], ["y"], equation="nchw,nchw->nchw")]
    assert onnx_file(tmp_path / "einsum.onnx", einsum, shapes, weights).macs is None


# -- TFLite files of others ----------------------------------------------------------------------------


def tensor(name, shape, kind, buffer=0):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, np.array(shape, np.int32), kind, buffer
    return made


def tflite_bytes(tensors, buffers, operators):
    """One subgraph; the first tensor is its input, the last its output."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    for values in buffers:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
    graph.tensors, graph.operators = tensors, []
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([len(tensors) - 1], np.int32)
    for index, (code, inputs, outputs) in enumerate(operators):
        entry, operator = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        operator.opcodeIndex = index
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        model.operatorCodes.append(entry)
        graph.operators.append(operator)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


FLOAT, HALF, INT8, INT4 = (getattr(schema.TensorType, n) for n in ("FLOAT32", "FLOAT16", "INT8", "INT4"))
OP = schema.BuiltinOperator


def test_half_precision_constants_behind_dequantize_count_once(tmp_path):
    tensors = [
        tensor("x", [1, 6], FLOAT),
        tensor("w16", [4, 6], HALF, 1),
        tensor("w", [4, 6], FLOAT),
        tensor("y", [1, 4], FLOAT),
    ]
    operators = [(OP.DEQUANTIZE, [1], [2]), (OP.FULLY_CONNECTED, [0, 2, -1], [3])]
    values = np.ones((4, 6), np.float16)
    values[0, :2] = 0
    facts = written(tmp_path / "m.tflite", tflite_bytes(tensors, [values], operators))
    assert (facts.params, facts.nonzero_params, facts.macs) == (24, 22, 24)
    assert (facts.precision, facts.weight_dtypes) == ("fp16", {"float16": 24})


def test_transposed_convolution(tmp_path):
    tensors = [
        tensor("x", [1, 5, 5, 3], FLOAT),
        tensor("shape", [4], schema.TensorType.INT32, 1),
        tensor("w", [4, 2, 2, 3], FLOAT, 2),
        tensor("y", [1, 10, 10, 4], FLOAT),
    ]
    buffers = [np.array([1, 10, 10, 4], np.int32), ones(4, 2, 2, 3)]
    facts = written(
        tmp_path / "m.tflite", tflite_bytes(tensors, buffers, [(OP.TRANSPOSE_CONV, [1, 2, 0], [3])])
    )
    assert (facts.params, facts.macs) == (48, 25 * 48)


def test_packed_four_bit_weights_in_float_arithmetic(tmp_path):
    tensors = [tensor("x", [1, 3], FLOAT), tensor("w", [1, 3], INT4, 1), tensor("y", [1, 1], FLOAT)]
    packed = np.array([0x10, 0xF7], np.uint8)  # 0, 1, 7 and half a byte nobody reads
    facts = written(
        tmp_path / "m.tflite", tflite_bytes(tensors, [packed], [(OP.FULLY_CONNECTED, [0, 1, -1], [2])])
    )
    assert (facts.params, facts.nonzero_params, facts.precision) == (3, 2, "mixed")


def test_a_dynamic_batch_is_one_and_other_dynamic_sizes_are_unknown(tmp_path):
    def facts(name, signature):
        x = tensor("x", [1, 6, 6, 2], FLOAT)
        x.shapeSignature = np.array(signature, np.int32)
        tensors = [x, tensor("w", [4, 3, 3, 2], FLOAT, 1), tensor("y", [1, 4, 4, 4], FLOAT)]
        data = tflite_bytes(tensors, [ones(4, 3, 3, 2)], [(OP.CONV_2D, [0, 1, -1], [2])])
        return written(tmp_path / name, data)

    assert facts("batch.tflite", [-1, 6, 6, 2]).macs == 16 * 72
    assert facts("batch.tflite", [-1, 6, 6, 2]).inputs[0].shape == (None, 6, 6, 2)
    assert facts("size.tflite", [1, -1, -1, 2]).macs is None


def test_a_recurrent_or_custom_operator_makes_macs_unknown(tmp_path):
    tensors = [tensor("x", [1, 6], FLOAT), tensor("y", [1, 6], FLOAT)]
    for name in ("CUSTOM", "UNIDIRECTIONAL_SEQUENCE_LSTM"):
        code = getattr(OP, name)
        facts = written(tmp_path / "m.tflite", tflite_bytes(tensors, [], [(code, [0], [1])]))
        assert (facts.macs, facts.macs_unknown) == (None, f"the work of operator {name} is not known")
    facts = written(tmp_path / "m.tflite", tflite_bytes(tensors, [], [(OP.RELU, [0], [1])]))
    assert (facts.macs, facts.macs_unknown) == (0, None)


# -- files that are not what they seem -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.sqz", b"", r"found a \.sqz file, \.onnx and \.tflite are allowed; run `edgesqueeze decode`"),
        ("m.pt", b"", r"found a \.pt file, \.onnx and \.tflite are allowed$"),
        ("model", b"", "found a nameless file"),
        ("m.onnx", None, "there is no such file"),
        ("m.onnx", b"", "is not an ONNX model: it holds no operators"),
        ("m.onnx", b"GIF89a, a picture", "is not a readable ONNX model"),
        ("m.tflite", b"", r"is not a TFLite model: bytes 4 to 8 are b''"),
        ("m.tflite", b"\x08\x00\x00\x00TFL2" + bytes(64), r"bytes 4 to 8 are b'TFL2'"),
        ("m.tflite", b"\xff\xff\xff\x7fTFL3" + bytes(64), "is damaged or cut short"),
    ],
)
def test_foreign_files_are_refused_in_one_sentence(name, data, message, tmp_path):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ExportError, match=message) as caught:
        read_model_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", EMITTERS)
def test_a_truncated_file_is_refused(suffix, tmp_path):
    graph = build_graph(Depthwise(), torch.zeros(1, 3, 16, 16))
    data = EMITTERS[suffix](graph, None)
    path = tmp_path / f"m{suffix}"
    for length in range(0, len(data) - 1, max(1, len(data) // 150)):
        path.write_bytes(data[:length])
        with pytest.raises(ExportError, match=r"m\.(onnx|tflite) is "):
            read_model_file(path)


@pytest.mark.parametrize("suffix", EMITTERS)
def test_altered_bytes_raise_nothing_but_our_errors(suffix, tmp_path):
    graph = build_graph(Depthwise(), torch.zeros(1, 3, 16, 16))
    data = EMITTERS[suffix](graph, None)
    path = tmp_path / f"m{suffix}"
    generator = random.Random(0)
    refused = 0
    for _ in range(300):
        altered = bytearray(data)
        for _ in range(4):
            altered[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(altered)
        try:
            assert read_model_file(path).params >= 0
        except ExportError:
            refused += 1
    assert refused > 10


def test_integers_that_are_not_where_ours_are_is_one_sentence(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(hostile.good_files()["int8.onnx"])
    assert "fc" in stored_integers(path)
    path.write_bytes(path.read_bytes().replace(b"fc.bias_scale", b"fc.bias_sgale", 1))
    with pytest.raises(ExportError, match=r"model\.onnx is not built as files of edgesqueeze are: .*bias_s"):
        stored_integers(path)
