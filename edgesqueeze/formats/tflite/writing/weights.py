"""How a TFLite file stores weights and biases, one class per precision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.formats.limits import as_float16
from edgesqueeze.formats.tflite.flatbuffer import FlatModel, Quantization
from edgesqueeze.network.graph.nodes import Conv, Floats, Graph, WeightedNode, bias_name, weight_name
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import Int8Weight, is_dynamic

_DEQUANTIZE = schema.BuiltinOperator.DEQUANTIZE
# Is it a convolution, are its scales per channel: the lowest version that multiplies float32 with int8.
_HYBRID = {(True, False): 2, (True, True): 5, (False, False): 9, (False, True): 12}
# The lowest version of DEQUANTIZE that reads the type: int8 per tensor, float16, int8 per channel.
_PER_TENSOR, _FLOAT16, _PER_CHANNEL = 2, 3, 5


@dataclass(frozen=True)
class Layout:
    """How a file lays out one weight.

    ``arrange`` brings it there from the graph's layout, ``channel_axis`` is where its output channels are.
    """

    arrange: Callable[[NDArray[Any]], NDArray[Any]]
    channel_axis: int


class LayerStore(Protocol):
    """A way to store the parameters of a layer."""

    def store(self, model: FlatModel, node: WeightedNode, layout: Layout) -> list[int]:
        """Add weight and bias to a file; the tensors that the layer's operator reads."""
        ...

    def version(self, node: WeightedNode, versions: tuple[int, int]) -> int:
        """Which version of its operator a layer needs: the one for float32 operands or for int8."""
        ...


@dataclass(frozen=True)
class FloatStore:
    """float32 as it is."""

    graph: Graph

    def store(self, model: FlatModel, node: WeightedNode, layout: Layout) -> list[int]:
        """Two constants."""
        return [
            model.constant(weight_name(node), layout.arrange(self.graph.weight(node))),
            model.constant(bias_name(node), self.graph.bias(node)),
        ]

    def version(self, node: WeightedNode, versions: tuple[int, int]) -> int:  # noqa: ARG002 (all layers alike)
        """That for float32."""
        return versions[0]


@dataclass(frozen=True)
class Float16Store:
    """float16 constants, each behind a DEQUANTIZE that XNNPACK carries out once, when the file is loaded."""

    graph: Graph

    def store(self, model: FlatModel, node: WeightedNode, layout: Layout) -> list[int]:
        """Two constants, and their float32 forms."""
        weight, bias = (as_float16(node.name, v) for v in (self.graph.weight(node), self.graph.bias(node)))
        return [
            _dequantized(model, model.constant(weight_name(node), layout.arrange(weight)), _FLOAT16),
            _dequantized(model, model.constant(bias_name(node), bias), _FLOAT16),
        ]

    def version(self, node: WeightedNode, versions: tuple[int, int]) -> int:  # noqa: ARG002 (all layers alike)
        """That for float32."""
        return versions[0]


@dataclass(frozen=True)
class Int8Store:
    """int8 weights and int32 biases of a full-integer file; a layer kept in float as it is."""

    graph: Graph
    spec: QuantSpec

    def store(self, model: FlatModel, node: WeightedNode, layout: Layout) -> list[int]:
        """Two constants on their grids."""
        if node.name not in self.spec.weights:
            return FloatStore(self.graph).store(model, node, layout)
        layer = self.spec.weights[node.name]
        grid = _grid(layer.scale, layout.channel_axis if self.spec.per_channel or len(layer.scale) > 1 else 0)
        bias_grid = _grid(layer.bias_scale(self.spec.activations[node.inputs[0]].scale), 0)
        return [
            model.constant(weight_name(node), layout.arrange(layer.weight), grid),
            model.constant(bias_name(node), layer.bias, bias_grid),
        ]

    def version(self, node: WeightedNode, versions: tuple[int, int]) -> int:  # noqa: ARG002 (all layers alike)
        """That for int8."""
        return versions[1]


@dataclass(frozen=True)
class Int8WeightStore:
    """int8 weights beside float32 biases and activations.

    A layer of ``dynamic`` reads its integers, which makes LiteRT quantize its input at run time; the others
    read them through a DEQUANTIZE that XNNPACK carries out once, when the file is loaded.
    """

    graph: Graph
    weights: dict[str, Int8Weight]
    dynamic: bool

    def store(self, model: FlatModel, node: WeightedNode, layout: Layout) -> list[int]:
        """The integers, or their float32 form, and the bias; a layer without integers stays float32."""
        layer = self.weights.get(node.name)
        if layer is None:
            return FloatStore(self.graph).store(model, node, layout)
        per_tensor = len(layer.scale) < len(layer.weight)
        grid = _grid(layer.scale, 0 if per_tensor else layout.channel_axis)
        weight = model.constant(weight_name(node), layout.arrange(layer.weight), grid)
        if not self._reads_integers(node):
            weight = _dequantized(model, weight, _PER_TENSOR if per_tensor else _PER_CHANNEL)
        return [weight, model.constant(bias_name(node), self.graph.bias(node))]

    def version(self, node: WeightedNode, versions: tuple[int, int]) -> int:
        """That for float32, or for int8 weights beside float32 activations."""
        if node.name not in self.weights or not self._reads_integers(node):
            return versions[0]
        return _HYBRID[isinstance(node, Conv), len(self.weights[node.name].scale) > 1]

    def _reads_integers(self, node: WeightedNode) -> bool:
        return self.dynamic and is_dynamic(self.graph, node)


def _grid(scale: Floats, axis: int) -> Quantization:
    return Quantization(scale, np.zeros(len(scale), np.int64), axis)


def _dequantized(model: FlatModel, constant: int, version: int) -> int:
    """The float32 form of a constant, computed in the file."""
    output = model.float_form(constant)
    model.operator(_DEQUANTIZE, version, [constant], output, schema.DequantizeOptionsT())
    return output
