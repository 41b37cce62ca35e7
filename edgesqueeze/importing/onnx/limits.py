"""What an ONNX file may ask of a machine: a small file can name sizes that no memory holds."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import InferenceError, infer_node_outputs

from edgesqueeze.errors import TaskError
from edgesqueeze.importing.onnx.files import data_files
from edgesqueeze.importing.onnx.node import OnnxNode

LARGEST_DATA = 2 << 30
"""Of bytes beside the file."""
MOST_NODES = 20_000
MOST_ELEMENTS = 1 << 27
"""Of one tensor: half a gigabyte in float32."""
_NO_NUMBERS = (TensorProto.UNDEFINED, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128)
_TOLD = 1024
"""Shape inference is told the values of constants with so many elements."""


def check_model(path: Path, model: ModelProto) -> None:
    """Refuse operators of the future, weights that are no numbers, too many nodes, and too large data.

    Raises:
        TaskError: which of them.
    """
    newest = onnx.defs.onnx_opset_version()
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset > newest:
        raise TaskError(f"{path} has operator set {opset}; up to {newest} are known")
    for tensor in model.graph.initializer:
        if tensor.data_type in _NO_NUMBERS or tensor.data_type not in TensorProto.DataType.values():
            raise TaskError(
                f"{path}: the values of {tensor.name!r} are of type {tensor.data_type}, no numbers"
            )
    total = sum(file.stat().st_size for file in data_files(path.parent, model) if file.is_file())
    if total > LARGEST_DATA:
        raise TaskError(f"the data of {path} have {total:,} bytes; at most {LARGEST_DATA:,} are allowed")
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    counted: dict[tuple[str, str], int] = {}

    def count(nodes: Sequence[NodeProto], above: tuple[tuple[str, str], ...]) -> int:
        found = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in above:
                raise TaskError(f"{path}: function {node.op_type!r} calls itself")
            if key in bodies and key not in counted:
                counted[key] = count(bodies[key], (*above, key))
            found += counted.get(key, 1)
        return found

    nodes = count(model.graph.node, ())
    if nodes > MOST_NODES:
        raise TaskError(f"{path} has {nodes:,} nodes; at most {MOST_NODES:,} are allowed")


def check_node(node: OnnxNode) -> None:
    """Refuse a node that does not fit what it is given, or whose result would be too large.

    ONNX's own shape inference says so; nothing is computed.

    Raises:
        UnsupportedLayerError: what does not fit, or how large it would be.
    """
    values, types, told = node.values, {}, {}
    for name in filter(None, node.proto.input):
        known = name in values.constants
        array = values.constants[name] if known else values.examples[name].numpy()
        types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        if known and array.size <= _TOLD:
            told[name] = numpy_helper.from_array(array, name)
    try:
        schema = onnx.defs.get_schema(node.kind, node.opset, node.proto.domain)
        found = infer_node_outputs(schema, node.proto, types, told)
    except InferenceError as error:
        raise node.refuse(f"does not fit what it is given: {' '.join(str(error).split())[:200]}") from error
    except Exception:  # no operator of ONNX's, or one that it cannot infer: whoever computes it says so
        return
    for output in found.values():
        _check_elements(node, [dim.dim_value for dim in output.tensor_type.shape.dim])


def _check_elements(node: OnnxNode, shape: Sequence[int]) -> None:
    elements = prod(map(int, shape))
    if elements > MOST_ELEMENTS:
        raise node.refuse(f"would make {elements:,} values; at most {MOST_ELEMENTS:,} are allowed")
