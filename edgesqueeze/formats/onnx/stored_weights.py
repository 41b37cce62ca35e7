"""The int8 weights of an ONNX file of ours, whatever else is in it: int8, dynamic range or partly float.

``stored_integers`` reads every number of a file that is int8 throughout; here only weights matter, and a
layer that is kept in float is left out.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from edgesqueeze.formats.onnx.cut import OnnxFile
from edgesqueeze.formats.stored_values import Array

_WEIGHT_INPUT = {"Conv": 1, "Gemm": 1, "ConvInteger": 1, "QLinearConv": 3, "QGemm": 3}
_ENDINGS = ("/raw", "/relu6", "/relu", "/max", "/min", "/int")


def onnx_int8_weights(file: OnnxFile) -> dict[str, NDArray[np.int8]]:
    """Layer to int8 weight in PyTorch's layout, [out, in / groups, ...]."""
    constants = {t.name: numpy_helper.to_array(t) for t in file.model.graph.initializer}
    found = {}
    for node in file.model.graph.node:
        position = _WEIGHT_INPUT.get(node.op_type)
        weight = None if position is None else _stored(file, node, position, constants)
        if weight is not None and weight.dtype == np.int8:
            found[layer_name(node.name)] = weight
    return found


def _stored(file: OnnxFile, node: NodeProto, position: int, constants: dict[str, Array]) -> Array | None:
    """The constant an operator reads, if need be through its DequantizeLinear."""
    name = node.input[position]
    maker = file.makers.get(name)
    if maker is not None and maker.op_type == "DequantizeLinear":
        name = maker.input[0]
    return constants.get(name)


def layer_name(node: str) -> str:
    """The layer behind the name of an ONNX node of ours."""
    for ending in _ENDINGS:
        node = node.removesuffix(ending)
    return node
