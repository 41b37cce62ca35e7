"""The integers that a TFLite file of ours stores, layer by layer, in PyTorch's layout."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.measure.cut import TfliteFile
from edgesqueeze.measure.stored import Array, Layers, grid_of

_OP = schema.BuiltinOperator
_WEIGHTED = (_OP.CONV_2D, _OP.DEPTHWISE_CONV_2D, _OP.FULLY_CONNECTED)
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
        if computed and quantization is not None and quantization.scale is not None:
            layers[name] = grid_of(float(quantization.scale[0]), int(quantization.zeroPoint[0]))
    for name, parameters in tflite_weights(file).items():
        layers[name] |= parameters
    inner = {f"{name}{ending}" for name in layers for ending in (".padded", ".map", ".groups", ".swapped")}
    return {name: layer for name, layer in layers.items() if name not in inner}


def tflite_weights(file: TfliteFile) -> Layers:
    """Every int8 weight, its scale and the bias, and the bias' scale if it has one."""
    layers: Layers = {}
    for operator in file.graph.operators:
        code = file.code(operator)
        if code in _WEIGHTED:
            name = file.graph.tensors[int(operator.outputs[0])].name.decode()
            layers[name] = _parameters(file, operator, code)
    return layers


def _parameters(file: TfliteFile, operator: Any, code: int) -> dict[str, Array]:
    source, weight, bias = (int(i) for i in operator.inputs[:3])
    if weight in file.makers:  # a DEQUANTIZE
        weight = int(file.makers[weight].inputs[0])
    values = _constant(file, weight)
    if code == _OP.CONV_2D:
        values = values.transpose(0, 3, 1, 2)
    elif code == _OP.DEPTHWISE_CONV_2D:
        values = values.transpose(3, 0, 1, 2)
    else:
        order = file.order(file.graph.tensors[source].name.decode())
        if order is not None:
            restored = np.empty_like(values)
            restored[:, order] = values
            values = restored
    found = {"weight": values, "weight scale": _scale(file, weight), "bias": _constant(file, bias)}
    if found["bias"].dtype == np.int32:
        found["bias scale"] = _scale(file, bias)
    return found


def _scale(file: TfliteFile, index: int) -> Array:
    return np.asarray(file.graph.tensors[index].quantization.scale, np.float32)


def _constant(file: TfliteFile, index: int) -> Array:
    tensor = file.graph.tensors[index]
    data = np.asarray(file.model.buffers[tensor.buffer].data, np.uint8)
    return data.view(np.dtype(_DTYPES[tensor.type]).newbyteorder("<")).reshape(file.shape(index))
