"""Padding in TFLite: by a rule of the operator, or by an operator of its own in front of it."""

from typing import Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.formats.tflite.flatbuffer import FlatModel, Generated, Quantization
from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import (
    Add,
    Clamp,
    Conv,
    FloatNode,
    Graph,
    Input,
    MaxPool,
    Pads,
    Pointwise,
    Softmax,
    WeightedNode,
)
from edgesqueeze.network.integers.spec import QMIN, QuantSpec

_OP = schema.BuiltinOperator


class PaddingWriter(Protocol):
    """What the emitter lends: the network, the file, tensors of computed values, grids and operators."""

    graph: Graph
    spec: QuantSpec | None
    model: FlatModel

    def computed(self, name: str, shape: tuple[int, ...], grid_of: str) -> int:
        """Add a tensor of a shape given as NCHW, on a node's grid; its index."""
        ...

    def grid(self, name: str) -> Quantization | None:
        """The grid of a node's output in an int8 file."""
        ...

    def operator(self, code: int, inputs: list[int], output: int, options: Generated) -> None:
        """Append an operator."""
        ...


def padded(writer: PaddingWriter, node: Conv | MaxPool, source: int) -> tuple[int, int]:
    """A tensor and a padding rule that together do what the node's pads ask for."""
    shape = writer.graph.source(node).shape
    needed = needed_pads(node, shape) if len(shape) == 4 else (0, 0, 0, 0)
    if needed == (0, 0, 0, 0):
        return source, schema.Padding.VALID
    if needed == same_pads(node, shape):
        return source, schema.Padding.SAME
    top, left, bottom, right = needed
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    grown = (1, shape[1], shape[2] + top + bottom, shape[3] + left + right)
    result = writer.computed(f"{node.name}.padded", grown, node.inputs[0])
    operands = [source, writer.model.constant(f"{node.name}.pads", amounts)]
    if isinstance(node, Conv) or _zero_is_lowest(writer, node.inputs[0]):
        writer.operator(_OP.PAD, operands, result, schema.PadOptionsT())
    else:
        operands.append(_lowest(writer, node))
        writer.operator(_OP.PADV2, operands, result, schema.PadV2OptionsT())
    return result, schema.Padding.VALID


def _lowest(writer: PaddingWriter, node: MaxPool) -> int:
    """A constant that never wins a maximum."""
    name = f"{node.name}.lowest"
    if writer.spec is None:
        return writer.model.constant(name, np.array([np.finfo(np.float32).min], np.float32))
    return writer.model.constant(name, np.array([QMIN], np.int8), writer.grid(node.inputs[0]))


def _zero_is_lowest(writer: PaddingWriter, name: str) -> bool:
    """Whether a tensor holds nothing below zero, so that padding with zero leaves maxima as they are."""
    if writer.spec is not None and writer.spec.activations[name].zero_point == QMIN:
        return True
    node = writer.graph.by_name[name]
    if isinstance(node, WeightedNode | Add | Clamp):
        return node.activation != "none"
    if isinstance(node, FloatNode | Softmax):
        return isinstance(node, Softmax)
    if isinstance(node, Pointwise):
        return FUNCTIONS[node.function].nonnegative
    return not isinstance(node, Input) and all(_zero_is_lowest(writer, source) for source in node.inputs)


def _reach(node: Conv | MaxPool, axis: int) -> int:
    """How many input rows (axis 0) or columns (axis 1) all windows together span."""
    dilation = node.dilation[axis] if isinstance(node, Conv) else 1
    return (node.shape[2 + axis] - 1) * node.stride[axis] + dilation * (node.kernel[axis] - 1) + 1


def needed_pads(node: Conv | MaxPool, shape: tuple[int, ...]) -> Pads:
    """The part of a node's padding that its windows really touch."""
    top, left = node.pads[:2]
    bottom, right = (max(_reach(node, axis) - shape[2 + axis] - node.pads[axis], 0) for axis in (0, 1))
    return top, left, bottom, right


def same_pads(node: Conv | MaxPool, shape: tuple[int, ...]) -> Pads | None:
    """The padding that TFLite's SAME rule gives this node, or None where SAME gives another output size."""
    if any(node.shape[2 + axis] != -(-shape[2 + axis] // node.stride[axis]) for axis in (0, 1)):
        return None
    rows, columns = (max(_reach(node, axis) - shape[2 + axis], 0) for axis in (0, 1))
    return rows // 2, columns // 2, rows - rows // 2, columns - columns // 2
