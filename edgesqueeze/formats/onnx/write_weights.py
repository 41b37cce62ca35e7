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
from edgesqueeze.network.graph.nodes import (
    Conv,
    ConvTranspose,
    Floats,
    Graph,
    WeightedNode,
    bias_name,
    weight_name,
)
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import Int8Weight, is_dynamic

_UINT8_OFFSET = 128


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
    may have as well; all return the name to read. ``has`` says whether a value is there already.
    """

    op: Append
    constant: Callable[[str, NDArray[Any]], str]
    shared: Callable[[str, NDArray[Any]], str]
    has: Callable[[str], bool]


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
        return [_cast(writer, writer.constant(name, as_float16(node.name, v)), name) for name, v in named]


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
        value = _cast(writer, writer.constant(name, arranged(node, layer.weight)), name, "/cast")
        scale = arranged(node, _along(layer.scale, layer.weight.ndim - 1))
        factor = writer.constant(f"{name}_scale", scale)
        weight = writer.op("Mul", [value, factor], f"{name}/out", {})
        return [weight, writer.constant(bias_name(node), self.graph.bias(node))]

    def reads_integers(self, node: WeightedNode) -> bool:
        """Whether a layer of a ``dynamic`` file multiplies integers."""
        return node.name in self.weights and is_dynamic(self.graph, node)

    def write_dynamic(
        self, writer: LayerWriter, node: WeightedNode, value: str, attributes: dict[str, object]
    ) -> str:
        """Append a layer that quantizes its input while it runs; the name of its result.

        ConvInteger has a fast kernel for uint8 weights only (zero point 128), MatMulInteger for both.
        """
        name, layer = weight_name(node), self.weights[node.name]
        integers, scale, zero_point = self._quantized(writer, value)
        if isinstance(node, Conv):
            shifted = (layer.weight.astype(np.int16) + _UINT8_OFFSET).astype(np.uint8)
            offset = writer.shared("zero_point_128", np.array(_UINT8_OFFSET, np.uint8))
            inputs = [integers, writer.constant(name, shifted), zero_point, offset]
            total = writer.op("ConvInteger", inputs, f"{node.name}/sum", attributes)
        else:
            inputs = [integers, writer.constant(name, layer.weight.T), zero_point]
            total = writer.op("MatMulInteger", inputs, f"{node.name}/sum", {})
        behind = 2 if isinstance(node, Conv) else 0
        factor = writer.constant(f"{name}_scale", _along(layer.scale, behind))
        factor = writer.op("Mul", [scale, factor], f"{node.name}/scale", {})
        total = _cast(writer, total, node.name, "/float")
        product = writer.op("Mul", [total, factor], f"{node.name}/product", {})
        bias = writer.constant(bias_name(node), _along(self.graph.bias(node), behind))
        return writer.op("Add", [product, bias], f"{node.name}/raw", {})

    def _quantized(self, writer: LayerWriter, value: str) -> tuple[str, str, str]:
        """A value's integers, scale and zero point, measured once however many layers read them."""
        names = f"{value}/dynamic", f"{value}/dynamic_scale", f"{value}/dynamic_zero_point"
        if not writer.has(names[0]):
            writer.op("DynamicQuantizeLinear", [value], names[0], {}, names[1:])
        return names


def _cast(writer: LayerWriter, value: str, name: str, ending: str = "/out") -> str:
    return writer.op("Cast", [value], f"{name}{ending}", {"to": TensorProto.FLOAT})


def _along(values: Floats, behind: int) -> Floats:
    """A vector as one value per output channel, with this many axes behind the channels."""
    return values.reshape(-1, *[1] * behind)
