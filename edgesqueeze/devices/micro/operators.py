"""Which operators TensorFlow Lite Micro has, by the methods of its ``MicroMutableOpResolver``.

Names: tensorflow/tflite-micro, tensorflow/lite/micro/micro_mutable_op_resolver.h.
"""

from collections.abc import Sequence

from edgesqueeze.errors import ExportError

_ODD = {
    "AVERAGE_POOL_2D": "AveragePool2D",
    "BATCH_MATMUL": "BatchMatMul",
    "CONV_2D": "Conv2D",
    "CUMSUM": "CumSum",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "L2_POOL_2D": "L2Pool2D",
    "MAX_POOL_2D": "MaxPool2D",
    "PADV2": "PadV2",
    "SELECT_V2": "SelectV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
"""Names that are not the schema's in another spelling."""
_PLAIN = (
    *("ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CAST", "CEIL"),
    *("CONCATENATION", "COS", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "ELU", "EQUAL", "EXP", "EXPAND_DIMS"),
    *("FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER", "GATHER_ND", "GREATER"),
    *("GREATER_EQUAL", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG"),
    *("LOG_SOFTMAX", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "MAXIMUM", "MEAN", "MINIMUM"),
    *("MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PACK", "PAD", "PRELU", "QUANTIZE", "REDUCE_MAX", "RELU"),
    *("RELU6", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "ROUND", "RSQRT", "SHAPE", "SIN"),
    *("SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQRT", "SQUARE"),
    *("SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE"),
    *("TRANSPOSE_CONV", "UNPACK", "ZEROS_LIKE"),
)


def resolver_methods(operators: Sequence[str]) -> list[str]:
    """The methods that a resolver has to be told, in alphabetical order.

    Args:
        operators: names of the schema's ``BuiltinOperator``.

    Raises:
        ExportError: TensorFlow Lite Micro has no such operator.
    """
    known = _ODD | {name: name.title().replace("_", "") for name in _PLAIN}
    missing = [name for name in operators if name not in known]
    if missing:
        raise ExportError(f"TensorFlow Lite Micro has no {', '.join(sorted(missing))}")
    return sorted(f"Add{known[name]}" for name in set(operators))
