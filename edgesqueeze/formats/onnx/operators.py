"""What the ONNX operators mean for counting: which multiply, which inputs are parameters."""

from collections.abc import Collection

from onnx import NodeProto

# Where an operator's first and second factor are among its inputs.
FACTORS = {
    "Conv": (0, 1),
    "ConvTranspose": (0, 1),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "ConvInteger": (0, 1),
    "MatMulInteger": (0, 1),
    "QGemm": (0, 3),
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
}
# What makes an integer operator's input where it is quantized while the file runs.
INTEGERS_AT_RUN_TIME = {"Cast", "DynamicQuantizeLinear"}
INTEGER = {"ConvInteger", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"}
# ONNX Runtime's integer operators (com.microsoft): the standard operator of the same shapes and its inputs.
FLOAT_FORMS = {
    "QGemm": ("Gemm", slice(0, 4, 3)),
    "QLinearAdd": ("Add", slice(0, 4, 3)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", slice(0, 1)),
    "QLinearMul": ("Mul", slice(0, 4, 3)),
    "QLinearSigmoid": ("Sigmoid", slice(0, 1)),
}
# Standard operators that multiply and accumulate in ways not counted here.
UNCOUNTED = {
    "Attention",
    "DFT",
    "DeformConv",
    "Einsum",
    "GRU",
    "If",
    "LSTM",
    "Loop",
    "RNN",
    "RotaryEmbedding",
    "STFT",
    "Scan",
    "SequenceMap",
}
# Inputs that are settings or statistics rather than parameters.
SETTINGS = {
    "BatchNormalization": {3, 4},
    "Clip": {1, 2},
    "ConvInteger": {2, 3},
    "DequantizeLinear": {1, 2},
    "Dropout": {1, 2},
    "MatMulInteger": {2, 3},
    "OneHot": {1, 2},
    "Pad": {1, 2, 3},
    "QGemm": {1, 2, 4, 5, 7, 8},
    "QLinearConv": {1, 2, 4, 5, 6, 7},
    "QLinearMatMul": {1, 2, 4, 5, 6, 7},
    "QuantizeLinear": {1, 2},
    "Resize": {1, 2, 3},
    "Upsample": {1},
}
# Operators through which a constant stays the same parameters in another form.
FORWARDS = {
    "Cast",
    "DequantizeLinear",
    "Expand",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
WEIGHTED = set(FACTORS) | {
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "PRelu",
    "RMSNormalization",
}
# Where an integer operator has its int32 bias.
INTEGER_BIAS = {"QGemm": 6, "QLinearConv": 8}
NEVER_PARAMS = {"int64", "uint64", "bool", "object", "str"}
# Where an integer operator keeps constant integers and their zero points, and the axis of the latter.
ZERO_POINTS = {
    "ConvInteger": (1, 3, 0),
    "DequantizeLinear": (0, 2, 1),
    "MatMulInteger": (1, 3, -1),
    "QGemm": (3, 5, 0),
    "QLinearConv": (3, 5, 0),
    "QLinearMatMul": (3, 5, -1),
}


def measured(node: NodeProto, known: Collection[str]) -> list[str]:
    """What an operator makes of ranges that are found while the file runs: scales, and what leads to them.

    Args:
        node: the operator.
        known: what those before it made.
    """
    if node.op_type == "DynamicQuantizeLinear":
        return [node.output[1]]
    from_range = node.op_type in ("Div", "Min", "Sub", "Where") and any(name in known for name in node.input)
    return list(node.output) if from_range or node.op_type == "ReduceMin" else []
