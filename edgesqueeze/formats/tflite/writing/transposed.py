"""A transposed convolution in a float TFLite file; in int8 see ``network.integers.subpixel``."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.tflite.writing.maps import TfliteWriter, write_slice
from edgesqueeze.network.graph.nodes import Activation, ConvTranspose, Pads, Pair

_OP = schema.BuiltinOperator
_FUSED: dict[Activation, int] = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_FUSED_VERSION = 4


def write_conv_transpose(
    writer: TfliteWriter, node: ConvTranspose, source: tuple[int, ...], operands: list[int], output: int
) -> None:
    """Append the operator, and a slice where TFLite cannot leave out the rows and columns itself.

    Args:
        writer: the emitter.
        node: the node.
        source: the shape of its input, NCHW.
        operands: the tensors of its input, its weight [out, height, width, in] and its bias.
        output: the tensor of its output.
    """
    options = schema.TransposeConvOptionsT()
    options.strideH, options.strideW = node.stride
    options.fusedActivationFunction = _FUSED[node.activation]
    area, cut = _computed_area(node, source[2:])
    if _same_pads(node, source[2:]) == node.pads:
        options.padding, area, cut = schema.Padding.SAME, node.shape[2:], (0, 0)
    else:
        options.padding = schema.Padding.VALID
    channels = node.shape[1]
    whole = output if area == node.shape[2:] else _whole(writer, node, area)
    wanted = writer.model.constant(f"{node.name}.shape", np.array([1, *area, channels], np.int32))
    data, weight, bias = operands
    code = _OP.TRANSPOSE_CONV
    if node.activation == "none":
        writer.operator(code, [wanted, weight, data, bias], whole, options)
    else:
        writer.model.operator(code, _FUSED_VERSION, [wanted, weight, data, bias], whole, options)
    if whole != output:
        write_slice(writer, node.name, [0, *cut, 0], [1, *node.shape[2:], channels], whole, output)


def _whole(writer: TfliteWriter, node: ConvTranspose, area: tuple[int, ...]) -> int:
    return writer.computed(f"{node.name}.whole", (1, node.shape[1], *area), node.name)


def _computed_area(node: ConvTranspose, source: tuple[int, ...]) -> tuple[tuple[int, ...], Pair]:
    """Height and width that the operator computes, and where in them the node's output starts."""
    sizes = []
    for axis in (0, 1):
        full = (source[axis] - 1) * node.stride[axis] + node.kernel[axis]
        sizes.append(max(full, node.pads[axis] + node.shape[2 + axis]))
    return tuple(sizes), (node.pads[0], node.pads[1])


def _same_pads(node: ConvTranspose, source: tuple[int, ...]) -> Pads | None:
    """What the SAME rule cuts off, or None where it gives another output size or more rows are asked for."""
    if node.extra != (0, 0) or any(node.shape[2 + a] != source[a] * node.stride[a] for a in (0, 1)):
        return None
    rows, columns = (max(node.kernel[a] - node.stride[a], 0) for a in (0, 1))
    return rows // 2, columns // 2, rows - rows // 2, columns - columns // 2
