"""Which version of an operator a file asks for."""

from ai_edge_litert import schema_py_generated as schema

_OP = schema.BuiltinOperator
VERSIONS: dict[int, tuple[int, int]] = {
    _OP.CONV_2D: (1, 3),
    _OP.DEPTHWISE_CONV_2D: (1, 3),
    _OP.FULLY_CONNECTED: (1, 5),
    _OP.MAX_POOL_2D: (1, 2),
    _OP.AVERAGE_POOL_2D: (1, 2),
    _OP.MEAN: (1, 2),
    _OP.CONCATENATION: (1, 2),
    _OP.ADD: (1, 2),
    _OP.PAD: (1, 2),
    _OP.PADV2: (1, 2),
    _OP.RESHAPE: (1, 1),
    _OP.RELU: (1, 2),
    _OP.RELU6: (1, 2),
    _OP.MUL: (1, 2),
    _OP.LOGISTIC: (1, 2),
    _OP.HARD_SWISH: (1, 1),
    _OP.SLICE: (1, 2),
    _OP.TRANSPOSE: (1, 2),
    _OP.RESIZE_BILINEAR: (3, 3),
    _OP.RESIZE_NEAREST_NEIGHBOR: (1, 2),
    _OP.TRANSPOSE_CONV: (3, 3),
    _OP.DEPTH_TO_SPACE: (1, 2),
    _OP.SOFTMAX: (1, 2),
    _OP.GELU: (1, 1),
    _OP.ARG_MAX: (1, 2),
    _OP.CAST: (1, 1),
    _OP.QUANTIZE: (1, 1),
    _OP.DEQUANTIZE: (1, 2),
}
"""Operator to the lowest version that allows float32, int8 operands."""
USUAL_VERSIONS = (1, 2)
"""Of every other operator."""
