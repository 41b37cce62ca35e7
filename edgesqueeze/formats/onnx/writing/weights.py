"""How an ONNX file stores weights and biases, one class per precision.

What stands for a layer's float32 weight in the float16 and weight-only files is made of Cast and Mul, which
ONNX Runtime carries out once, when it loads the file. It would repeat a DequantizeLinear in every run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from edgesqueeze.formats.limits import as_float16
from edgesqueeze.formats.names import Batch
from edgesqueeze.network.graph.nodes import (
    ConvTranspose,
    Floats,
    Graph,
    WeightedNode,
    bias_name,
    weight_name,
)
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import Int8Weight, is_dynamic


class Append(Protocol):
    """Appends an operator with one output, or with ``more``; the name of the first."""

    def __call__(
        self,
        kind: str,
        inputs: list[str],
        output: str,
        attributes: dict[str, object],
        more: tuple[str, ...] = (),
    ) -> str:
        """Append it."""
        ...


@dataclass(frozen=True)
class LayerWriter:
    """What the emitter lends.

    ``op`` appends an operator, ``constant`` stores an array under a name, ``shared`` one that other layers
    may have as well; all return the name to read. ``has`` says whether a value is there already. ``batch``
    and ``opset`` are those of the file.
    """

    op: Append
    constant: Callable[[str, NDArray[Any]], str]
    shared: Callable[[str, NDArray[Any]], str]
    has: Callable[[str], bool]
    batch: Batch
    opset: int


class LayerStore(Protocol):
    """A way to store the parameters of a layer."""

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """Add weight and bias to a file; the values that the layer's operator reads."""
        ...


@dataclass(frozen=True)
class FloatStore:
    """float32 as it is."""

    graph: Graph

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """Two constants."""
        return [
            writer.constant(weight_name(node), arranged(node, self.graph.weight(node))),
            writer.constant(bias_name(node), self.graph.bias(node)),
        ]


@dataclass(frozen=True)
class Float16Store:
    """float16 constants, cast to float32 when the file is loaded."""

    graph: Graph

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """Two constants, and their float32 forms."""
        weight = arranged(node, self.graph.weight(node))
        named = ((weight_name(node), weight), (bias_name(node), self.graph.bias(node)))
        return [cast(writer, writer.constant(name, as_float16(node.name, v)), name) for name, v in named]


@dataclass(frozen=True)
class Int8Store:
    """int8 weights and int32 biases in QDQ form; a layer kept in float as it is."""

    graph: Graph
    spec: QuantSpec

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """Two constants, and their dequantized forms."""
        if node.name not in self.spec.weights:
            return FloatStore(self.graph).store(writer, node)
        layer = self.spec.weights[node.name]
        bias_scale = layer.bias_scale(self.spec.activations[node.inputs[0]].scale)
        return [
            self._dequantized(writer, weight_name(node), layer.weight, layer.scale),
            self._dequantized(writer, bias_name(node), layer.bias, bias_scale),
        ]

    def _dequantized(self, writer: LayerWriter, name: str, integers: NDArray[Any], scale: Floats) -> str:
        """Stored integers as real numbers, one scale per output channel or one in all.

        ONNX Runtime keeps Gemm in float unless its weight has explicit zero points. Biases need none.
        """
        inputs = [writer.constant(name, integers), weight_scale(writer, f"{name}_scale", scale, self.spec)]
        if integers.dtype == np.int8:
            inputs.append(weight_zeros(writer, scale, self.spec))
        attributes: dict[str, object] = {"axis": 0} if _has_axis(scale, self.spec) else {}
        return writer.op("DequantizeLinear", inputs, f"{name}/out", attributes)


def arranged(node: WeightedNode, weight: NDArray[Any]) -> NDArray[Any]:
    """A weight as ONNX has it: that of a transposed convolution is [in, out, height, width]."""
    return weight.swapaxes(0, 1) if isinstance(node, ConvTranspose) and weight.ndim == 4 else weight


def weight_scale(writer: LayerWriter, name: str, scale: Floats, spec: QuantSpec) -> str:
    """Store the scale of a weight or bias of an int8 file: a vector, or a scalar."""
    # Not by constant: a scalar has no axis, and ascontiguousarray adds one.
    return writer.constant(name, scale) if _has_axis(scale, spec) else writer.shared(name, scale.reshape(()))


def weight_zeros(writer: LayerWriter, scale: Floats, spec: QuantSpec) -> str:
    """Store the zero points that go with :func:`weight_scale`."""
    if _has_axis(scale, spec):
        return writer.shared(f"zeros_{len(scale)}", np.zeros(len(scale), np.int8))
    return writer.shared("zero_int8", np.array(0, np.int8))


def _has_axis(scale: Floats, spec: QuantSpec) -> bool:
    """Whether scales run along an axis; what normalizes pixels has a scale per channel in any network."""
    return spec.per_channel or len(scale) > 1


@dataclass(frozen=True)
class Int8WeightStore:
    """int8 weights beside float32 biases and activations."""

    graph: Graph
    weights: dict[str, Int8Weight]

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """The integers times their scale, and the bias; float32 if there are no integers."""
        layer = self.weights.get(node.name)
        if layer is None:
            return FloatStore(self.graph).store(writer, node)
        name = weight_name(node)
        value = cast(writer, writer.constant(name, arranged(node, layer.weight)), name, "/cast")
        scale = arranged(node, along(layer.scale, layer.weight.ndim - 1))
        factor = writer.constant(f"{name}_scale", scale)
        weight = writer.op("Mul", [value, factor], f"{name}/out", {})
        return [weight, writer.constant(bias_name(node), self.graph.bias(node))]

    def reads_integers(self, node: WeightedNode) -> bool:
        """Whether a layer of a ``dynamic`` file multiplies integers."""
        return node.name in self.weights and is_dynamic(self.graph, node)


def cast(writer: LayerWriter, value: str, name: str, ending: str = "/out") -> str:
    """Append a Cast to float32; the name of the result."""
    return writer.op("Cast", [value], f"{name}{ending}", {"to": TensorProto.FLOAT})


def along(values: Floats, behind: int) -> Floats:
    """A vector as one value per output channel, with this many axes behind the channels."""
    return values.reshape(-1, *[1] * behind)
