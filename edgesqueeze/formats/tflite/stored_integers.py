"""The integers that a TFLite file of ours stores, layer by layer, in PyTorch's layout."""

import re
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.stored_values import Array, Layers, grid_of
from edgesqueeze.formats.tflite.cut import TfliteFile

_OP = schema.BuiltinOperator
_WEIGHTED = (_OP.CONV_2D, _OP.DEPTHWISE_CONV_2D, _OP.FULLY_CONNECTED, _OP.TRANSPOSE_CONV)
_BIAS = {_OP.TRANSPOSE_CONV: 3}
"""Which input of an operator its bias is, if not the third."""
_INNER = re.compile(r"(.+)\.(padded|map|groups|swapped|joined|(room|with)_\d+)")
"""What a tensor inside of a node is called behind the node's name."""
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
}


def tflite_layers(file: TfliteFile) -> Layers:
    """Every grid and parameter of an int8 file."""
    layers: Layers = {}
    for name, index in file.indices.items():
        quantization = file.graph.tensors[index].quantization
        computed = index in file.makers or index in file.graph.inputs
        computed = (
            computed and file.graph.tensors[index].type != schema.TensorType.UINT8
        )  # pixels, shifted next
        if computed and quantization is not None and quantization.scale is not None:
            layers[name] = grid_of(float(quantization.scale[0]), int(quantization.zeroPoint[0]))
    for name, parameters in tflite_weights(file).items():
        layers[name] |= parameters
    inner = {name for name in layers if (found := _INNER.fullmatch(name)) and found[1] in layers}
    return {name: layer for name, layer in layers.items() if name not in inner}


def tflite_weights(file: TfliteFile) -> Layers:
    """Every int8 weight, its scale and the bias, and the bias' scale if it has one."""
    layers: Layers = {}
    for operator in file.graph.operators:
        if file.code(operator) in _WEIGHTED:
            layers[_result_name(file, operator)] = _parameters(file, operator)
    return layers


def tflite_weight(file: TfliteFile, operator: Any) -> Array:
    """The weight of a convolution or dense layer as stored, in PyTorch's layout."""
    values, code = _constant(file, _stored_weight(file, operator)), file.code(operator)
    if code in (_OP.CONV_2D, _OP.TRANSPOSE_CONV):
        return values.transpose(0, 3, 1, 2)
    if code == _OP.DEPTHWISE_CONV_2D:
        return values.transpose(3, 0, 1, 2)
    order = file.order(file.graph.tensors[int(operator.inputs[0])].name.decode())
    if order is None:
        return values
    restored = np.empty_like(values)
    restored[:, order] = values
    return restored


def _stored_weight(file: TfliteFile, operator: Any) -> int:
    """The constant that a layer reads, if need be through a DEQUANTIZE."""
    weight = int(operator.inputs[1])
    return int(file.makers[weight].inputs[0]) if weight in file.makers else weight


def _result_name(file: TfliteFile, operator: Any) -> str:
    """The tensor a layer makes; behind one kept in float in an int8 file it is made by QUANTIZE."""
    result = int(operator.outputs[0])
    readers = [op for op in file.graph.operators if result in op.inputs]
    if len(readers) == 1 and file.code(readers[0]) == _OP.QUANTIZE:
        result = int(readers[0].outputs[0])
    # The whole area of a transposed convolution, of which a slice is the node's.
    return str(file.graph.tensors[result].name.decode()).removesuffix(".whole")


def _parameters(file: TfliteFile, operator: Any) -> dict[str, Array]:
    weight = _stored_weight(file, operator)
    bias = int(operator.inputs[_BIAS.get(file.code(operator), 2)])
    found = {"weight": tflite_weight(file, operator), "bias": _constant(file, bias)}
    if found["weight"].dtype == np.int8:
        found["weight scale"] = _scale(file, weight)
    if found["bias"].dtype == np.int32:
        found["bias scale"] = _scale(file, bias)
    return found


def _scale(file: TfliteFile, index: int) -> Array:
    return np.asarray(file.graph.tensors[index].quantization.scale, np.float32)


def _constant(file: TfliteFile, index: int) -> Array:
    tensor = file.graph.tensors[index]
    data = np.asarray(file.model.buffers[tensor.buffer].data, np.uint8)
    return data.view(np.dtype(_DTYPES[tensor.type]).newbyteorder("<")).reshape(file.shape(index))
