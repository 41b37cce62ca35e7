"""What a full-int8 network must answer, bit for bit: the specification in numpy.

ONNX Runtime and LiteRT (XNNPACK) compute the same integers (but for bilinear resizes, and for sums on grids
that lie too far apart, see :data:`Sums`), because both follow one rule:

    q_out = clamp(rint(float32(acc) · m) + zero_point),    m = float32(s_in · s_weight / s_out)

where ``acc`` is the exact int32 sum of products and ``rint`` rounds half to even. This module is that rule
for every kind of node (average pools and loose activations are depthwise convolutions by then, see
``network.integers.lower``; sums and products are on grids that leave nothing to rounding rules, see
``network.integers.align``). Sums are taken in float64, which holds integers up to 2^53 exactly; what
follows a sum is float32, as in the runtimes. (Integer arithmetic: Jacob et al. 2018, arXiv 1712.05877.)

A layer kept in float lies between integer tensors: dequantized, computed in float, quantized. Runtimes add up
its products in orders of their own, so here they may differ by 1 (``network.integers.inexact``).
"""

from collections.abc import Iterator
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import (
    Activation,
    Add,
    AnyNode,
    Concat,
    Conv,
    Dense,
    Flatten,
    Floats,
    GlobalAvgPool,
    Graph,
    LayerNorm,
    MaxPool,
    Pads,
    Pair,
    Resize,
)
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.reference_maps import layer_norm, resize_real, run_map
from edgesqueeze.network.integers.spec import QMAX, QMIN, ActivationQuant, QuantSpec

Int8s = NDArray[np.int8]
Sums = Literal["xnnpack", "onnxruntime"]
"""Whose rule is followed where two differ: XNNPACK's in fixed point, or ONNX Runtime's in float32.

A bilinear resize may differ by 1. Sums and means over a map are equal on aligned grids; where the scales lie
too far apart to be aligned (a factor of 8), or the map is large, they may differ by 1.
"""

_BATCH = 16
_BLOCK_BYTES = 1 << 26


def quantize_input(x: Floats, quant: ActivationQuant) -> Int8s:
    """Real numbers to the nearest integers of a grid, saturating: rint(x / scale) + zero_point."""
    return _saturate(np.rint(x / np.float32(quant.scale)) + np.float32(quant.zero_point), QMIN, QMAX)


def quantize_by_reciprocal(x: Floats, quant: ActivationQuant) -> Int8s:
    """Like :func:`quantize_input` but rint(x · (1 / scale)), XNNPACK's QUANTIZE: some ties fall otherwise."""
    scaled = x * (np.float32(1) / np.float32(quant.scale))
    return _saturate(np.rint(scaled) + np.float32(quant.zero_point), QMIN, QMAX)


def dequantize(q: Int8s, quant: ActivationQuant) -> Floats:
    """Integers of a grid to real numbers: scale × (q - zero_point)."""
    return (q.astype(np.float32) - np.float32(quant.zero_point)) * np.float32(quant.scale)


def clamp_limits(quant: ActivationQuant, activation: Activation) -> tuple[int, int]:
    """The smallest and largest integer that a fused activation lets through."""
    low, high = QMIN, QMAX
    if activation != "none":
        low = quant.zero_point
    if activation == "relu6":
        high = min(QMAX, int(np.rint(np.float32(6) / np.float32(quant.scale))) + quant.zero_point)
    return low, high


def run_integer(graph: Graph, spec: QuantSpec, x: Floats, sums: Sums = "xnnpack") -> Int8s:
    """The network's output integers.

    Args:
        graph: the network.
        spec: its integers.
        x: float32 [N, C, H, W], N at least 1.
        sums: whose rule is followed where two differ.

    Returns:
        int8 [N, …] on the grid of the output node.
    """
    parts = []
    for i in range(0, len(x), _BATCH):
        for _, values in integer_steps(graph, spec, x[i : i + _BATCH], sums):
            known = values
        parts.append(known[graph.output.name])
    return np.concatenate(parts)


def run_integer_tensors(graph: Graph, spec: QuantSpec, x: Floats, sums: Sums = "xnnpack") -> dict[str, Int8s]:
    """Node name to its output int8 [N, …]: like :func:`run_integer`, in one batch, keeping every tensor."""
    kept = {name: values[name] for name, values in integer_steps(graph, spec, x, sums)}
    return {node.name: kept[node.name] for node in graph.nodes}


def integer_steps(
    graph: Graph, spec: QuantSpec, x: Floats, sums: Sums = "xnnpack"
) -> Iterator[tuple[str, dict[str, Int8s]]]:
    """Compute one batch node by node, of the lowered graph, in execution order.

    Yields:
        The name of the node just computed, and the values [N, …] that are still needed, its own among them.
        What the caller puts in their place is what the nodes behind read.
    """
    graph, spec = lower(graph, spec)
    values: dict[str, Int8s] = {}
    last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
    for node in graph.nodes:
        if node is graph.input:
            values[node.name] = quantize_input(x, spec.activations[node.name])
        else:
            values[node.name] = _compute(graph, node, [values[name] for name in node.inputs], spec, sums)
        yield node.name, values
        for name in set(node.inputs):
            if last_reader[name] == node.name:
                del values[name]


def _compute(graph: Graph, node: AnyNode, inputs: list[Int8s], spec: QuantSpec, sums: Sums) -> Int8s:
    grids = [spec.activations[name] for name in node.inputs]
    out = spec.activations[node.name]
    match node:
        case Conv() | Dense() if node.name not in spec.weights:
            return _float_layer(graph, node, inputs[0], spec)
        case Conv() | Dense():
            return _weighted(node, inputs[0], spec)
        case LayerNorm():
            return layer_norm(node, inputs[0], (graph.weight(node), graph.bias(node)), (grids[0], out))
        case MaxPool():
            return _max_pool(inputs[0], node)
        case GlobalAvgPool():
            mean = _mean if sums == "xnnpack" else _mean_centred
            return mean(inputs[0], grids[0], out)
        case Flatten():
            return inputs[0].reshape(len(inputs[0]), -1)
        case Concat():
            return np.concatenate(inputs, axis=1)
        case Add():
            add = _add if sums == "xnnpack" else _add_float
            return add(inputs, grids, out, node.activation)
        case Resize(mode="bilinear") if sums == "onnxruntime":
            return quantize_input(resize_real(dequantize(inputs[0], grids[0]), node.size), out)
        case _:
            return run_map(node, inputs, grids, out)


def _requantize(
    acc: NDArray[np.float64], multiplier: Floats | np.float32, out: ActivationQuant, activation: Activation
) -> Int8s:
    """Exact sums to output integers, channels on axis 1."""
    low, high = clamp_limits(out, activation)
    q = np.rint(acc.astype(np.float32) * multiplier) + np.float32(out.zero_point)
    return _saturate(q, low, high)


def _saturate(values: NDArray[Any], low: int, high: int) -> Int8s:
    return np.asarray(np.clip(values, low, high), np.int8)


def _weighted(node: Conv | Dense, q: Int8s, spec: QuantSpec) -> Int8s:
    source, out = spec.activations[node.inputs[0]], spec.activations[node.name]
    layer = spec.weights[node.name]
    acc = _sums(q.astype(np.int16) - np.int16(source.zero_point), layer.weight, layer.bias, node)
    multiplier = layer.bias_scale(source.scale) / np.float32(out.scale)
    return _requantize(acc, multiplier.reshape(1, -1, *[1] * (acc.ndim - 2)), out, node.activation)


def _float_layer(graph: Graph, node: Conv | Dense, q: Int8s, spec: QuantSpec) -> Int8s:
    """A layer kept in float, between the grids: sums in float64, so as good as any order of float32 sums."""
    source, out = spec.activations[node.inputs[0]], spec.activations[node.name]
    y = _sums(dequantize(q, source), graph.weight(node), graph.bias(node), node).astype(np.float32)
    if node.activation != "none":
        y = np.maximum(y, np.float32(0))
    return quantize_input(np.minimum(y, np.float32(6)) if node.activation == "relu6" else y, out)


def _sums(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], node: Conv | Dense
) -> NDArray[np.float64]:
    """Sums of products and biases in float64: of integers they are exact."""
    if isinstance(node, Dense):
        return np.asarray(x.astype(np.float64) @ weight.astype(np.float64).T + bias)
    x = x[:, :, np.newaxis, np.newaxis] if x.ndim == 2 else x
    acc = _convolve(_pad(x, node.pads, 0), weight, node)
    acc += bias.reshape(1, -1, 1, 1)
    return acc


def _convolve(x: NDArray[Any], weight: NDArray[Any], node: Conv) -> NDArray[np.float64]:
    """Sums of products of a padded input [N, C, H, W], as matrix products over unrolled windows."""
    groups, (rows, columns) = node.groups, node.shape[2:]
    windows = _windows(x, node.kernel, node.stride, node.dilation)[:, :, :rows, :columns]
    length = prod(weight.shape[1:])
    matrices = weight.reshape(groups, -1, length).astype(np.float64).transpose(0, 2, 1)
    acc = np.empty((len(x), *node.shape[1:]), np.float64)
    for images, lines in _blocks(len(x), rows, columns * groups * length * 8):
        block = windows[images, :, lines]
        n, channels, height = block.shape[:3]
        split = block.reshape(n, groups, channels // groups, *block.shape[2:])
        unrolled = split.transpose(1, 0, 3, 4, 2, 5, 6).reshape(groups, -1, length).astype(np.float64)
        sums = (unrolled @ matrices).reshape(groups, n, height, columns, -1)
        acc[images, :, lines] = sums.transpose(1, 0, 4, 2, 3).reshape(n, -1, height, columns)
    return acc


def _blocks(images: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Slices of images and output rows whose unrolled windows stay near the memory allowed."""
    many_rows = min(rows, max(1, _BLOCK_BYTES // row_bytes))
    many_images = max(1, _BLOCK_BYTES // (row_bytes * rows))
    for image in range(0, images, many_images):
        for row in range(0, rows, many_rows):
            yield slice(image, image + many_images), slice(row, row + many_rows)


def _windows(x: NDArray[Any], kernel: Pair, stride: Pair, dilation: Pair) -> NDArray[Any]:
    """A view [N, C, rows, columns, kernel height, kernel width] of every window."""
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _pad(x: NDArray[Any], pads: Pads, value: int) -> NDArray[Any]:
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _max_pool(q: Int8s, node: MaxPool) -> Int8s:
    padded = _pad(q.astype(np.int16), node.pads, QMIN)
    windows = _windows(padded, node.kernel, node.stride, (1, 1))[:, :, : node.shape[2], : node.shape[3]]
    return np.asarray(windows.max(axis=(4, 5)), np.int8)


def _mean(q: Int8s, source: ActivationQuant, out: ActivationQuant) -> Int8s:
    """XNNPACK's mean: the zero point is subtracted behind the product, everything rounded to float32."""
    count = np.float32(prod(q.shape[2:]))
    multiplier = np.float32(source.scale) / np.float32(out.scale) * (np.float32(1) / count)
    offset = np.float32(out.zero_point) - np.float32(source.zero_point) * count * multiplier
    total = q.astype(np.int64).sum(axis=(2, 3), keepdims=True).astype(np.float32)
    return _saturate(np.rint(total * multiplier + offset), QMIN, QMAX)


def _mean_centred(q: Int8s, source: ActivationQuant, out: ActivationQuant) -> Int8s:
    """ONNX Runtime's mean: the zero point is subtracted from the sum, exactly."""
    count = prod(q.shape[2:])
    total = q.astype(np.int64).sum(axis=(2, 3), keepdims=True) - source.zero_point * count
    multiplier = np.float32(source.scale) / (np.float32(count) * np.float32(out.scale))
    return _requantize(total.astype(np.float64), multiplier, out, "none")


def _add(
    inputs: list[Int8s], grids: list[ActivationQuant], out: ActivationQuant, activation: Activation
) -> Int8s:
    """XNNPACK's fixed-point sum: integer multipliers of 20 to 21 bits, half rounded up."""
    ratios = [float(np.float32(grid.scale) / np.float32(out.scale)) for grid in grids]
    shift = 20 - (int(np.frexp(max(ratios))[1]) - 1)
    total = np.full(inputs[0].shape, 1 << (shift - 1), np.int64)
    for q, grid, ratio in zip(inputs, grids, ratios, strict=True):
        total += (q.astype(np.int64) - grid.zero_point) * int(np.rint(ratio * 2.0**shift))
    low, high = clamp_limits(out, activation)
    return _saturate((total >> shift) + out.zero_point, low, high)


def _add_float(
    inputs: list[Int8s], grids: list[ActivationQuant], out: ActivationQuant, activation: Activation
) -> Int8s:
    """ONNX Runtime's sum in float32, halves to even."""
    total: Floats = np.full(inputs[0].shape, out.zero_point, np.float32)
    for q, grid in zip(inputs, grids, strict=True):
        ratio = np.float32(grid.scale) / np.float32(out.scale)
        total += (q.astype(np.float32) - np.float32(grid.zero_point)) * ratio
    low, high = clamp_limits(out, activation)
    return _saturate(np.rint(total), low, high)
