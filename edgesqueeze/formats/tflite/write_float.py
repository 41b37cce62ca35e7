"""Operations that XNNPACK has in float only: in an int8 file they stand between DEQUANTIZE and QUANTIZE."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.formats.tflite.flatbuffer import Generated
from edgesqueeze.formats.tflite.write_maps import TfliteWriter
from edgesqueeze.network.graph.nodes import Floats, LayerNorm, Pointwise
from edgesqueeze.network.integers.spec import QuantSpec

_OP = schema.BuiltinOperator


class FloatWriter(TfliteWriter, Protocol):
    """The emitter, and whether its file is int8."""

    spec: QuantSpec | None


@dataclass(frozen=True)
class _Island:
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
        return self.writer.model.tensor(f"{self.name}.{label}", shape, "float32")

    def constant(self, label: str, values: NDArray[np.generic]) -> int:
        return self.writer.model.constant(f"{self.name}.{label}", values)


def write_gelu(writer: FloatWriter, node: Pointwise, source: int, output: int) -> None:
    """Append a GELU with the exact error function."""
    island = _island(writer, node)
    island.leave(_OP.GELU, [island.enter(source)], schema.GeluOptionsT(), output)


def write_layer_norm(
    writer: FloatWriter, node: LayerNorm, parameters: tuple[Floats, Floats], source: int, output: int
) -> None:
    """Append a layer norm along channels, the last axis here, in the operators TFLite has."""
    island = _island(writer, node)
    value = island.enter(source)
    axis = island.constant("axis", np.array([len(node.shape) - 1], np.int32))
    mean = island.mean(value, axis, "mean")
    centred = island.op(_OP.SUB, [value, mean], "centred", schema.SubOptionsT())
    squared = island.op(_OP.MUL, [centred, centred], "squared", schema.MulOptionsT())
    variance = island.mean(squared, axis, "variance")
    epsilon = island.constant("epsilon", np.array([node.epsilon], np.float32))
    single = _Island(writer, node.name, (*island.shape[:-1], 1))
    risen = single.op(_OP.ADD, [variance, epsilon], "risen", schema.AddOptionsT())
    factor = single.op(_OP.RSQRT, [risen], "factor", None)
    normal = island.op(_OP.MUL, [centred, factor], "normal", schema.MulOptionsT())
    weight, bias = (island.constant(n, v) for n, v in zip(("weight", "bias"), parameters, strict=True))
    scaled = island.op(_OP.MUL, [normal, weight], "scaled", schema.MulOptionsT())
    island.leave(_OP.ADD, [scaled, bias], schema.AddOptionsT(), output)


def _island(writer: FloatWriter, node: LayerNorm | Pointwise) -> _Island:
    shape = node.shape
    return _Island(writer, node.name, (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape)
