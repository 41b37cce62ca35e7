"""An int8 graph as an ONNX file in QOperator form: integer operators on uint8 tensors, nothing to fuse.

The integers are those of the QDQ form. QLinearConv is ONNX's own; the other integer operators are ONNX
Runtime's (domain com.microsoft). What has no integer operator (a bilinear resize, a layer kept in float)
stands between a DequantizeLinear and a QuantizeLinear, as in the QDQ form. A node's uint8 tensor is called
``<node>/int``.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from edgesqueeze.formats.limits import check_size
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.onnx.node_operators import kind_and_attributes
from edgesqueeze.formats.onnx.writing.batch import target
from edgesqueeze.formats.onnx.writing.emit import UINT8_OFFSET, Emitter
from edgesqueeze.formats.onnx.writing.maps import write_map
from edgesqueeze.formats.onnx.writing.weights import Int8Store, weight_scale, weight_zeros
from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    Concat,
    Constant,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Join,
    MaxPool,
    Mul,
    Pad,
    Pointwise,
    Rearrange,
    Resize,
    Shuffle,
    Slice,
    bias_name,
    weight_name,
)
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.reference import clamp_limits
from edgesqueeze.network.integers.spec import QMAX, QMIN, QuantSpec

_MICROSOFT = "com.microsoft"


def emit_onnx_qoperator(graph: Graph, spec: QuantSpec, batch: Batch = 1) -> bytes:
    """The bytes of an int8 ONNX model like that of ``formats.onnx.writing.emit.emit_onnx``, of QOperators.

    Args:
        graph: the network.
        spec: its integers.
        batch: how many inputs the file takes at once.

    Raises:
        ExportError: the weights exceed the 2 GB that one ONNX file can hold.
    """
    graph, spec = lower(graph, spec)
    check_size(graph, spec)
    return _QOperatorEmitter(graph, spec, Int8Store(graph, spec), batch=batch, integers=spec).run()


@dataclass
class _QOperatorEmitter(Emitter):
    """One walk over the nodes. ``uint8`` maps a node to its integer tensor; ``values`` are made on demand."""

    integers: QuantSpec = field(kw_only=True)
    uint8: dict[str, str] = field(default_factory=dict)

    @property
    def _opsets(self) -> tuple[tuple[str, int], ...]:
        return (*super()._opsets, (_MICROSOFT, 1))

    def _node(self, node: AnyNode) -> None:
        if isinstance(node, Constant):
            self._store_integers(node)
        elif isinstance(node, Input) and self.graph.takes_pixels:
            self.uint8[node.name] = node.name
        elif isinstance(node, Input):
            self._quantize(node, node.name)
        elif isinstance(node, Resize) and (lifted := self._lifted(node, self.integers)) is not None:
            self.uint8[node.name] = lifted
        elif not self._move(node) and not self._compute(node):
            for name in node.inputs:
                self._dequantize(name)
            self._quantize(node, self._activated(node, self._operation(node)))

    def run(self) -> bytes:
        """The bytes of the file."""
        for node in self.graph.nodes:
            self._node(node)
        for output in self.graph.outputs:
            self._dequantize(output.node)
        return self._finished()

    def _store_integers(self, node: Constant) -> None:
        super()._node(node)
        self.uint8[node.name] = super()._integers_of(node.name)

    def _quantize(self, node: AnyNode, value: str) -> None:
        grid = self._grid(self.integers, node.name)
        self.uint8[node.name] = self._op("QuantizeLinear", [value, *grid], f"{node.name}/int", {})

    def _integers_of(self, name: str) -> str:
        return self.uint8[name]

    def _dequantize(self, name: str) -> None:
        """Provide a node's value in float, once."""
        if name not in self.values:
            inputs = [self.uint8[name], *self._grid(self.integers, name)]
            self.values[name] = self._op("DequantizeLinear", inputs, f"{name}/out", {})

    def _operands(self, name: str) -> list[str]:
        """A node's integers with their scale and zero point."""
        return [self.uint8[name], *self._grid(self.integers, name)]

    # -- operations that move or choose values -------------------------------------------------------

    def _move(self, node: AnyNode) -> bool:
        """Append a node that computes nothing, on integers; False if it is no such node."""
        result = f"{node.name}/int"
        match node:
            case MaxPool() | Flatten():
                kind, attributes = kind_and_attributes(node)
                self._op(kind, [self.uint8[node.inputs[0]]], result, attributes)
            case Slice() | Shuffle() | Rearrange() | Resize(mode="nearest"):
                writer = replace(self._map_writer, settle=lambda _, value, __: value)
                write_map(writer, self.graph, node, self.uint8[node.inputs[0]])
                self.nodes[-1].name = self.nodes[-1].output[0] = result
            case Pad():
                top, left, bottom, right = node.pads
                amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
                source, _, zero_point = self._operands(node.inputs[0])
                self._op(
                    "Pad", [source, self._constant(f"{node.name}.pads", amounts), zero_point], result, {}
                )
            case _:
                return False
        self.uint8[node.name] = result
        return True

    # -- operations that compute ---------------------------------------------------------------------

    def _compute(self, node: AnyNode) -> bool:
        """Append a node as an integer operator; False if there is none for it."""
        if self._is_kept_float(node):
            return False
        grid = self._grid(self.integers, node.name)
        match node:
            case Conv():
                self._finish(node, "QLinearConv", [*self._weighted(node), *grid, self._bias(node)], "")
            case Dense():
                self._finish(node, "QGemm", [*self._weighted(node), self._bias(node), *grid])
            case Add() | Mul():
                operands = [name for source in node.inputs for name in self._operands(source)]
                self._finish(node, f"QLinear{type(node).__name__}", [*operands, *grid])
            case Concat() | Join():
                operands = [name for source in node.inputs for name in self._operands(source)]
                self._finish(node, "QLinearConcat", [*grid, *operands])
            case GlobalAvgPool():
                self._finish(node, "QLinearGlobalAveragePool", [*self._operands(node.inputs[0]), *grid])
            case Pointwise(function="sigmoid"):
                self._finish(node, "QLinearSigmoid", [*self._operands(node.inputs[0]), *grid])
            case _:
                return False
        return True

    def _finish(self, node: AnyNode, kind: str, inputs: list[str], domain: str = _MICROSOFT) -> None:
        """Append the operator, and a Clip where its activation is not what saturation does anyway."""
        attributes = {} if isinstance(node, Pointwise) else kind_and_attributes(node)[1]
        low, high = clamp_limits(self.integers.activations[node.name], getattr(node, "activation", "none"))
        result = self.uint8[node.name] = f"{node.name}/int"
        clips = (low, high) != (QMIN, QMAX)
        value = self._op(kind, inputs, f"{node.name}/raw" if clips else result, attributes)
        self.nodes[-1].domain = domain
        if clips:
            ends = (np.array(end + UINT8_OFFSET, np.uint8) for end in (low, high))
            limits = [self._shared(f"uint8_{end}", end) for end in ends]
            self._op("Clip", [value, *limits], result, {})

    def _weighted(self, node: Conv | Dense) -> list[str]:
        """The input and the weight of a layer, each with scale and zero point."""
        source, *grid = self._operands(node.inputs[0])
        if isinstance(node, Conv) and len(self.graph.source(node).shape) == 2:
            shape = self._constant(f"{node.name}.shape", target((1, node.shape[1], 1, 1), self.batch))
            source = self._op("Reshape", [source, shape], f"{node.name}/map", {})
        name, layer = weight_name(node), self.integers.weights[node.name]
        scale = weight_scale(self._layer_writer, f"{name}_scale", layer.scale, self.integers)
        # QGemm wants as many zero points as scales; QLinearConv is content with one.
        zero = self._shared("zero_int8", np.array(0, np.int8))
        if isinstance(node, Dense):
            zero = weight_zeros(self._layer_writer, layer.scale, self.integers)
        return [source, *grid, self._constant(name, layer.weight), scale, zero]

    def _bias(self, node: Conv | Dense) -> str:
        return self._constant(bias_name(node), self.integers.weights[node.name].bias)
