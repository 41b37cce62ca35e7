"""Layers that quantize their input while they run: with DynamicQuantizeLinear, or example by example.

DynamicQuantizeLinear finds one range for all it is given, so that in a batch an example's integers would
depend on its neighbours. Where a file takes several, what that operator does to one is written with operators
that do it to each: range, scale, zero point and nearest integers (https://onnx.ai/onnx/operators,
DynamicQuantizeLinear). ConvInteger and MatMulInteger take a single zero point for all, so they are given 0,
and the zero point times the sum of a channel's weights is taken off behind them; a map is padded before it is
quantized, since a padded 0 is another integer in every example. All sums are the same int32 as those of a
file for one example.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from edgesqueeze.formats.onnx.node_operators import kind_and_attributes
from edgesqueeze.formats.onnx.writing.batch import reduced
from edgesqueeze.formats.onnx.writing.weights import Int8WeightStore, LayerWriter, along, cast
from edgesqueeze.network.graph.nodes import Conv, Pads, WeightedNode, bias_name, weight_name

_UINT8_OFFSET = 128
_NO_PADS = (0, 0, 0, 0)


def write_dynamic(writer: LayerWriter, store: Int8WeightStore, node: WeightedNode, value: str) -> str:
    """Append a layer that quantizes its input while it runs; the name of its result.

    ConvInteger has a fast kernel for uint8 weights only (zero point 128), MatMulInteger for both.
    """
    name, layer = weight_name(node), store.weights[node.name]
    source = _quantized(writer, value) if writer.batch == 1 else _quantized_each(writer, node, value)
    if isinstance(node, Conv):
        shifted = (layer.weight.astype(np.int16) + _UINT8_OFFSET).astype(np.uint8)
        offset = writer.shared("zero_point_128", np.array(_UINT8_OFFSET, np.uint8))
        zero_point = source.zero_point if writer.batch == 1 else ""
        attributes = dict(kind_and_attributes(node)[1])
        if writer.batch != 1:
            attributes["pads"] = _NO_PADS
        inputs = [source.integers, writer.constant(name, shifted), zero_point, offset]
        total = writer.op("ConvInteger", inputs, f"{node.name}/sum", attributes)
    else:
        inputs = [source.integers, writer.constant(name, layer.weight.T)]
        inputs += [source.zero_point] if writer.batch == 1 else []
        total = writer.op("MatMulInteger", inputs, f"{node.name}/sum", {})
    behind = 2 if isinstance(node, Conv) else 0
    if writer.batch != 1:
        sums = layer.weight.reshape(len(layer.weight), -1).sum(1, dtype=np.int32)
        sums = writer.constant(f"{name}_sums", sums.reshape(-1, *[1] * behind))
        shift = writer.op("Mul", [source.zero_point, sums], f"{node.name}/shift", {})
        total = writer.op("Sub", [total, shift], f"{node.name}/shifted", {})
    factor = writer.constant(f"{name}_scale", along(layer.scale, behind))
    factor = writer.op("Mul", [source.scale, factor], f"{node.name}/scale", {})
    total = cast(writer, total, node.name, "/float")
    product = writer.op("Mul", [total, factor], f"{node.name}/product", {})
    bias = writer.constant(bias_name(node), along(store.graph.bias(node), behind))
    return writer.op("Add", [product, bias], f"{node.name}/raw", {})


@dataclass(frozen=True)
class _Source:
    """The names of a value's uint8 integers, scale and zero point (the latter int32 if there are several)."""

    integers: str
    scale: str
    zero_point: str


def _quantized(writer: LayerWriter, value: str) -> _Source:
    """A value's integers, scale and zero point, measured once however many layers read them."""
    names = f"{value}/dynamic", f"{value}/dynamic_scale", f"{value}/dynamic_zero_point"
    if not writer.has(names[0]):
        writer.op("DynamicQuantizeLinear", [value], names[0], {}, names[1:])
    return _Source(*names)


def _quantized_each(writer: LayerWriter, node: WeightedNode, value: str) -> _Source:
    """Likewise of every example, with a map's padding."""
    pads = node.pads if isinstance(node, Conv) else _NO_PADS
    scale, zero_point = _grid(writer, value, 4 if isinstance(node, Conv) else 2)
    ending = "" if pads == _NO_PADS else "_" + "_".join(map(str, pads))
    result = f"{value}/dynamic{ending}"
    if not writer.has(result):
        steps = writer.op("Div", [_padded(writer, value, pads, ending), scale], f"{result}_steps", {})
        near = writer.op("Round", [steps], f"{result}_near", {})
        moved = writer.op("Add", [near, zero_point], f"{result}_moved", {})
        inside = writer.op("Clip", [moved, *_limits(writer)], f"{result}_inside", {})
        writer.op("Cast", [inside], result, {"to": int(TensorProto.UINT8)})
    return _Source(result, scale, f"{value}/dynamic_int_zero_point")


def _padded(writer: LayerWriter, value: str, pads: Pads, ending: str) -> str:
    if pads == _NO_PADS:
        return value
    top, left, bottom, right = pads
    amounts = writer.shared(f"pads{ending}", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    return writer.op("Pad", [value, amounts], f"{value}/padded{ending}", {})


def _grid(writer: LayerWriter, value: str, rank: int) -> tuple[str, str]:
    """Scale and zero point of every example, float32 [N, 1, …]; the latter as int32 as well."""
    names = f"{value}/dynamic_scale", f"{value}/dynamic_zero_point"
    if writer.has(names[0]):
        return names
    axes, (zero, most) = list(range(1, rank)), _limits(writer)
    low = reduced(writer, "ReduceMin", value, axes, f"{value}/dynamic_low")
    high = reduced(writer, "ReduceMax", value, axes, f"{value}/dynamic_high")
    low = writer.op("Min", [low, zero], f"{value}/dynamic_lowest", {})
    high = writer.op("Max", [high, zero], f"{value}/dynamic_highest", {})
    span = writer.op("Sub", [high, low], f"{value}/dynamic_span", {})
    step = writer.op("Div", [span, most], f"{value}/dynamic_step", {})
    # Zeros alone: ONNX Runtime's operator takes 1, and so does this.
    empty = writer.op("Equal", [span, zero], f"{value}/dynamic_empty", {})
    one = writer.shared("dynamic_one", np.array(1, np.float32))
    writer.op("Where", [empty, one, step], names[0], {})
    place = writer.op("Div", [low, names[0]], f"{value}/dynamic_place", {})
    place = writer.op("Sub", [zero, place], f"{value}/dynamic_above", {})
    place = writer.op("Clip", [place, zero, most], f"{value}/dynamic_bounded", {})
    writer.op("Round", [place], names[1], {})
    writer.op("Cast", [names[1]], f"{value}/dynamic_int_zero_point", {"to": int(TensorProto.INT32)})
    return names


def _limits(writer: LayerWriter) -> tuple[str, str]:
    return (
        writer.shared("zero", np.array(0, np.float32)),
        writer.shared("dynamic_most", np.array(255, np.float32)),
    )
