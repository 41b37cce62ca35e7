"""Integer rules of the nodes with weights.

A layer kept in float lies between integer tensors: dequantized, computed in float, quantized. Runtimes add up
its products in orders of their own, so here they may differ by 1 (``network.integers.inexact``).
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Constant,
    Conv,
    Dense,
    Graph,
    GroupNorm,
    LayerNorm,
    constant_values,
)
from edgesqueeze.network.integers.rules.rule import (
    Int8s,
    Rule,
    Setting,
    dequantize,
    pad,
    quantize_input,
    requantize,
    saturate,
)
from edgesqueeze.network.integers.rules.windows import windows_of
from edgesqueeze.network.integers.spec import QuantSpec

_BLOCK_BYTES = 1 << 26


def _weighted(node: Conv | Dense, inputs: list[Int8s], setting: Setting) -> Int8s:
    if node.name not in setting.spec.weights:
        return _float_layer(setting.graph, node, inputs[0], setting.spec)
    (q,), (source,), out = inputs, setting.grids(node), setting.out(node)
    layer = setting.spec.weights[node.name]
    acc = _sums(q.astype(np.int16) - np.int16(source.zero_point), layer.weight, layer.bias, node)
    multiplier = layer.bias_scale(source.scale) / np.float32(out.scale)
    return requantize(acc, multiplier.reshape(1, -1, *[1] * (acc.ndim - 2)), out, node.activation)


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
    acc = _convolve(pad(x, node.pads, 0), weight, node)
    acc += bias.reshape(1, -1, 1, 1)
    return acc


def _convolve(x: NDArray[Any], weight: NDArray[Any], node: Conv) -> NDArray[np.float64]:
    """Sums of products of a padded input [N, C, H, W], as matrix products over unrolled windows."""
    groups, (rows, columns) = node.groups, node.shape[2:]
    windows = windows_of(x, node.kernel, node.stride, node.dilation)[:, :, :rows, :columns]
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


def _layer_norm(node: LayerNorm, inputs: list[Int8s], setting: Setting) -> Int8s:
    """The nearest integer to the real layer norm along channels; both runtimes compute it in float32."""
    (q,), (grid,), out = inputs, setting.grids(node), setting.out(node)
    x = (q.astype(np.float64) - grid.zero_point) * grid.scale
    centred = x - x.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + node.epsilon)
    parameters = setting.graph.weight(node), setting.graph.bias(node)
    weight, bias = (p.astype(np.float64).reshape(-1, *[1] * (q.ndim - 2)) for p in parameters)
    real = normal * weight + bias
    return saturate(np.rint(real / out.scale) + out.zero_point)


def _group_norm(node: GroupNorm, inputs: list[Int8s], setting: Setting) -> Int8s:
    """The nearest integer to the real group norm; both runtimes compute it in float32."""
    (q,), (grid,), out = inputs, setting.grids(node), setting.out(node)
    x = ((q.astype(np.float64) - grid.zero_point) * grid.scale).reshape(len(q), node.groups, -1)
    centred = x - x.mean(axis=2, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=2, keepdims=True) + node.epsilon)
    parameters = setting.graph.weight(node), setting.graph.bias(node)
    weight, bias = (p.astype(np.float64).reshape(-1, 1, 1) for p in parameters)
    real = normal.reshape(q.shape) * weight + bias
    return saturate(np.rint(real / out.scale) + out.zero_point)


def _constant(node: Constant, _: list[Int8s], setting: Setting) -> Int8s:
    return quantize_input(constant_values(setting.graph, node), setting.out(node))


LAYERS: dict[type[AnyNode], Rule] = {
    Conv: _weighted,
    Dense: _weighted,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
    Constant: _constant,
}
