"""Which operators of an int8 file compute in float, read from the file or from what a runtime makes of it.

A TFLite file says so itself. An ONNX file in QDQ form says float everywhere; only ONNX Runtime decides which
operators become integer kernels, so its optimized graph is what is read.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import ModelProto, NodeProto, TensorProto

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.formats.onnx.stored_weights import layer_name
from edgesqueeze.formats.tflite.cut import TfliteFile
from edgesqueeze.measure.checks.file_facts import PlacedOperator
from edgesqueeze.measure.runtimes.onnx_runtime import ORT_FATAL

_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
_TO_INTEGER = {"QuantizeLinear", "DynamicQuantizeLinear", "Shape"}
_TO_FLOAT = {"DequantizeLinear", "MatMulIntegerToFloat"}
_LAYOUT = {"ReorderInput", "ReorderOutput"}
"""What ONNX Runtime puts around a float convolution in its own layout: part of it, not one more operator."""
_ADDED = re.compile(r"(_nchwc|_token_\d+)$")
"""What ONNX Runtime appends to the names of nodes it has rewritten."""
_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)


def float_operators(path: Path) -> tuple[PlacedOperator, ...]:
    """The operators that compute in float, in execution order; conversions at the ends are none.

    Raises:
        ExportError: ONNX Runtime cannot run the file, or not say what it makes of it.
    """
    if FileFormat.of_model(path) is FileFormat.TFLITE:
        return _tflite_float_operators(TfliteFile(path))
    return _onnx_float_operators(_optimized(path))


def _tflite_float_operators(file: TfliteFile) -> tuple[PlacedOperator, ...]:
    tensors = file.graph.tensors
    found = []
    for operator in file.graph.operators:
        kind = _OPERATORS[file.code(operator)]
        touched = [int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0]
        if kind not in _CONVERSIONS and any(tensors[i].type in _FLOATS for i in touched):
            found.append(PlacedOperator(kind, _tflite_layer(file, int(operator.outputs[0]))))
    return tuple(found)


def _tflite_layer(file: TfliteFile, tensor: int) -> str:
    """The layer behind a tensor; one kept in float writes to "name.float", and its integers are "name"."""
    name = str(file.graph.tensors[tensor].name.decode())
    layer = name.removesuffix(".float")
    return layer if layer in file.indices else name


def _optimized(path: Path) -> ModelProto:
    """The graph that ONNX Runtime runs on this machine, with all its optimizations."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        options.log_severity_level = ORT_FATAL
        try:
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            return onnx.load(Path(folder) / "optimized.onnx")
        except Exception as error:  # its exceptions share no base
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ExportError(f"ONNX Runtime does not say what it makes of {path}: {reason}") from error


def _onnx_float_operators(model: ModelProto) -> tuple[PlacedOperator, ...]:
    """Follow floats through the graph: the runtime writes no types for what lies between its nodes."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    floats = {v.name for v in graph.input if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    found = []
    for node in graph.node:
        inputs = [name for name in node.input if name and name not in constants]
        if not inputs:
            constants |= set(node.output)
            continue
        reads_float = any(name in floats for name in inputs)
        if node.op_type in _TO_FLOAT or _casts_to_float(node) or (reads_float and not _leaves_float(node)):
            floats |= set(node.output)
        if reads_float and node.op_type not in _TO_INTEGER | _TO_FLOAT | _LAYOUT:
            found.append(PlacedOperator(str(node.op_type), layer_name(_ADDED.sub("", node.name))))
    return tuple(found)


def _leaves_float(node: NodeProto) -> bool:
    return node.op_type in _TO_INTEGER or (node.op_type == "Cast" and not _casts_to_float(node))


def _casts_to_float(node: NodeProto) -> bool:
    to: list[Any] = [attribute.i for attribute in node.attribute if attribute.name == "to"]
    return node.op_type == "Cast" and to == [TensorProto.FLOAT]
