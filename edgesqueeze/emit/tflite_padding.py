"""Padding in a TFLite file: by a rule of the operator where one fits, else by an operator of its own."""

from typing import Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesqueeze.emit.flatbuffer import Quantization
from edgesqueeze.emit.padding import needed_pads, same_pads
from edgesqueeze.emit.tflite_maps import TfliteWriter
from edgesqueeze.graph.nodes import (
    Add,
    Clamp,
    Conv,
    Graph,
    Input,
    LayerNorm,
    MaxPool,
    Pointwise,
    Softmax,
    WeightedNode,
)
from edgesqueeze.graph.spec import QMIN, QuantSpec

_OP = schema.BuiltinOperator


class PaddingWriter(TfliteWriter, Protocol):
    """The emitter with its network."""

    graph: Graph
    spec: QuantSpec | None


def write_padding(writer: PaddingWriter, node: Conv | MaxPool, source: int) -> tuple[int, int]:
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
    padded = writer.computed(f"{node.name}.padded", grown, node.inputs[0])
    operands = [source, writer.model.constant(f"{node.name}.pads", amounts)]
    if isinstance(node, Conv) or _zero_is_lowest(writer, node.inputs[0]):
        writer.operator(_OP.PAD, operands, padded, schema.PadOptionsT())
    else:
        operands.append(_lowest(writer, node))
        writer.operator(_OP.PADV2, operands, padded, schema.PadV2OptionsT())
    return padded, schema.Padding.VALID


def _lowest(writer: PaddingWriter, node: MaxPool) -> int:
    """A constant that never wins a maximum."""
    name = f"{node.name}.lowest"
    if writer.spec is None:
        return writer.model.constant(name, np.array([np.finfo(np.float32).min], np.float32))
    quant = writer.spec.activations[node.inputs[0]]
    grid = Quantization(np.array([quant.scale], np.float32), np.array([quant.zero_point], np.int64))
    return writer.model.constant(name, np.array([QMIN], np.int8), grid)


def _zero_is_lowest(writer: PaddingWriter, name: str) -> bool:
    """Whether a tensor holds nothing below zero, so that padding with zero leaves maxima as they are."""
    if writer.spec is not None and writer.spec.activations[name].zero_point == QMIN:
        return True
    node = writer.graph.by_name[name]
    if isinstance(node, WeightedNode | Add | Clamp):
        return node.activation != "none"
    if isinstance(node, LayerNorm | Softmax):
        return isinstance(node, Softmax)
    if isinstance(node, Pointwise):
        return node.function in ("sigmoid", "hardsigmoid")
    return not isinstance(node, Input) and all(_zero_is_lowest(writer, source) for source in node.inputs)
