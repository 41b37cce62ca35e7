"""Operations that XNNPACK has in float only: in an int8 file they stand between DEQUANTIZE and QUANTIZE."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.formats.tflite.flatbuffer import Generated
from edgesqueeze.formats.tflite.writing.maps import TfliteWriter
from edgesqueeze.network.graph.nodes import Floats, GroupNorm, LayerNorm, MatMul, Pointwise
from edgesqueeze.network.integers.spec import QuantSpec

_OP = schema.BuiltinOperator


class FloatWriter(TfliteWriter, Protocol):
    """The emitter, and whether its file is int8."""

    spec: QuantSpec | None


@dataclass(frozen=True)
class Island:
    """Float tensors of one node, shape NHWC."""

    writer: FloatWriter
    name: str
    shape: tuple[int, ...]

    def enter(self, source: int) -> int:
        """The node's input in float."""
        if self.writer.spec is None:
            return source
        value = self.tensor("input", self.shape)
        self.writer.operator(_OP.DEQUANTIZE, [source], value, schema.DequantizeOptionsT())
        return value

    def leave(self, code: int, inputs: list[int], options: Generated, output: int) -> None:
        """The node's last operator, whose result goes to its output."""
        if self.writer.spec is None:
            self.writer.operator(code, inputs, output, options)
            return
        value = self.op(code, inputs, "result", options)
        self.writer.operator(_OP.QUANTIZE, [value], output, schema.QuantizeOptionsT())

    def op(self, code: int, inputs: list[int], label: str, options: Generated) -> int:
        """An operator; its result, of the node's shape."""
        value = self.tensor(label, self.shape)
        # Version 1 is the float one of all of them.
        self.writer.model.operator(code, 1, inputs, value, options)
        return value

    def mean(self, source: int, axis: int, label: str) -> int:
        """The mean along channels, which stay as one."""
        value = self.tensor(label, (*self.shape[:-1], 1))
        options = schema.ReducerOptionsT()
        options.keepDims = True
        self.writer.model.operator(_OP.MEAN, 1, [source, axis], value, options)
        return value

    def tensor(self, label: str, shape: tuple[int, ...]) -> int:
        """A computed tensor."""
        return self.writer.model.tensor(f"{self.name}.{label}", shape, "float32")

    def constant(self, label: str, values: NDArray[np.generic]) -> int:
        """A stored tensor."""
        return self.writer.model.constant(f"{self.name}.{label}", values)


def write_layer_norm(
    writer: FloatWriter, node: LayerNorm, parameters: tuple[Floats, Floats], source: int, output: int
) -> None:
    """Append a layer norm along channels, the last axis here, in the operators TFLite has."""
    part = island(writer, node)
    value = part.enter(source)
    axis = part.constant("axis", np.array([len(node.shape) - 1], np.int32))
    mean = part.mean(value, axis, "mean")
    centred = part.op(_OP.SUB, [value, mean], "centred", schema.SubOptionsT())
    squared = part.op(_OP.MUL, [centred, centred], "squared", schema.MulOptionsT())
    variance = part.mean(squared, axis, "variance")
    epsilon = part.constant("epsilon", np.array([node.epsilon], np.float32))
    single = Island(writer, node.name, (*part.shape[:-1], 1))
    risen = single.op(_OP.ADD, [variance, epsilon], "risen", schema.AddOptionsT())
    factor = single.op(_OP.RSQRT, [risen], "factor", None)
    normal = part.op(_OP.MUL, [centred, factor], "normal", schema.MulOptionsT())
    weight, bias = (part.constant(n, v) for n, v in zip(("weight", "bias"), parameters, strict=True))
    scaled = part.op(_OP.MUL, [normal, weight], "scaled", schema.MulOptionsT())
    part.leave(_OP.ADD, [scaled, bias], schema.AddOptionsT(), output)


def island(writer: FloatWriter, node: LayerNorm | GroupNorm | Pointwise) -> Island:
    """The float tensors of a node."""
    shape = node.shape
    return Island(writer, node.name, (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape)


def write_group_norm(
    writer: FloatWriter, node: GroupNorm, parameters: tuple[Floats, Floats], source: int, output: int
) -> None:
    """Append a group norm: the channels of a map as [H·W, groups, C / groups], normed over the outer two."""
    part = island(writer, node)
    _, rows, columns, channels = part.shape
    grouped = Island(writer, node.name, (1, rows * columns, node.groups, channels // node.groups))
    value = _reshaped(grouped, part.enter(source), "groups")
    axes = grouped.constant("axes", np.array([1, 3], np.int32))
    single = Island(writer, node.name, (1, 1, node.groups, 1))
    mean = _mean_over(single, value, axes, "mean")
    centred = grouped.op(_OP.SUB, [value, mean], "centred", schema.SubOptionsT())
    squared = grouped.op(_OP.MUL, [centred, centred], "squared", schema.MulOptionsT())
    variance = _mean_over(single, squared, axes, "variance")
    epsilon = single.constant("epsilon", np.array([node.epsilon], np.float32))
    risen = single.op(_OP.ADD, [variance, epsilon], "risen", schema.AddOptionsT())
    factor = single.op(_OP.RSQRT, [risen], "factor", None)
    normal = grouped.op(_OP.MUL, [centred, factor], "normal", schema.MulOptionsT())
    value = _reshaped(part, normal, "map")
    weight, bias = (part.constant(n, v) for n, v in zip(("weight", "bias"), parameters, strict=True))
    scaled = part.op(_OP.MUL, [value, weight], "scaled", schema.MulOptionsT())
    part.leave(_OP.ADD, [scaled, bias], schema.AddOptionsT(), output)


def write_mat_mul(writer: FloatWriter, node: MatMul, sources: list[int], output: int) -> None:
    """Append a product of matrices, which the last two axes of a map are here."""
    part = Island(writer, node.name, writer.model.shape(output))
    entered = [
        Island(writer, f"{node.name}.{side}", writer.model.shape(source)).enter(source)
        for side, source in zip(("left", "right"), sources, strict=True)
    ]
    options = schema.BatchMatMulOptionsT()
    options.adjY = node.along == "channels"
    part.leave(_OP.BATCH_MATMUL, entered, options, output)


def _reshaped(part: Island, value: int, label: str) -> int:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(part.shape, np.int32)
    return part.op(_OP.RESHAPE, [value, part.constant(f"{label}.shape", options.newShape)], label, options)


def _mean_over(part: Island, value: int, axes: int, label: str) -> int:
    options = schema.ReducerOptionsT()
    options.keepDims = True
    return part.op(_OP.MEAN, [value, axes], label, options)
