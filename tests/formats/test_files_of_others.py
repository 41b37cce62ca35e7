"""What is read from ONNX and TFLite files that other tools wrote."""

import flatbuffers
import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.models import built_in_model


def written(path, data):
    path.write_bytes(data)
    return read_model_file(path)


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
